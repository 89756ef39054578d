from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.demo.data_source import CodeJudge, DemoData
from trimtab.demo.table import TableData, load_table
from trimtab.errors import InvalidInputError

PUBLIC_TABLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "triage"


def write_table(path: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = ("a", "b", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def separable(count: int = 400) -> list[list[object]]:
    return [[i % 20, f"{(i * 37) % 101}.5", "yes" if i % 20 > 11 else "no"] for i in range(count)]


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        load_table(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


def accuracy(data: DemoData, judge: CodeJudge) -> float:
    rules = data.starting_rules()
    some = data.split.stream[:1500]
    payloads = map(data.payload, some)
    chosen = [judge.judge(payload, rules.choose(payload)[0])[0] for payload in payloads]
    return sum(label == data.label(i) for label, i in zip(chosen, some, strict=True)) / len(some)


def test_a_table_is_split_judged_and_given_a_rule_to_beat(tmp_path: Path) -> None:
    rows = [[f"t{i}", *row, ("red", "blue", "")[i % 3], f"note {i}"] for i, row in enumerate(separable(600))]
    path = write_table(tmp_path / "My table.csv", rows, ("ticket", "size", "weight kg", "label", "colour", "remark"))
    data: DemoData = load_table(path)
    assert isinstance(data, TableData)
    assert data.labels == ("no", "yes")
    assert data.features == ("size", "weight_kg", "colour")
    assert "t7" in data.items
    row = list(data.items).index("t2")
    assert data.payload(row) == {"size": 2, "weight_kg": 74.5, "colour": None}
    assert "remark: note 2" in data.text(row)
    rules = data.starting_rules()
    assert "size <= 11.5" in rules.description
    assert all(rules.choose(data.payload(i))[0] == data.label(i) for i in data.split.stream)
    assert any("answer in disguise" in note for note in data.notes)
    assert any("'weight kg' is called 'weight_kg'" in note for note in data.notes)
    assert len({judge.version for judge in data.judges()}) == 5
    for judge in data.judges():
        for i in data.split.stream[:50]:
            label, confidence = judge.judge(data.payload(i), "no")
            assert label in data.labels
            assert 0.0 < confidence <= 1.0


@pytest.mark.parametrize(("folder", "labels"), [("spambase", 2), ("website_phishing_1353", 3)])
def test_public_tables_give_judges_of_different_skill(folder: str, labels: int) -> None:
    path = PUBLIC_TABLES / folder / "features.csv"
    if not path.is_file():
        pytest.skip(f"{folder} is not beside this checkout")
    data = load_table(path)
    assert len(data.labels) == labels
    skill = {judge.name: accuracy(data, judge) for judge in data.judges()}
    majority = max(Counter(map(data.label, data.split.stream)).values()) / len(data.split.stream)
    assert skill["nearest_centroid"] > majority + 0.1
    assert max(skill.values()) - min(skill.values()) > 0.08
    keys = [{data.key(i) for i in part} for part in (data.split.history, data.split.stream, data.split.kept_aside)]
    assert len(set.union(*keys)) == sum(map(len, keys))


def test_a_table_without_the_label_column_is_told_its_columns(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", separable(), ("a", "b", "answer"))
    message = refusal(path)
    assert "no column 'label'" in message
    assert "a, b, answer" in message
    assert "--label" in message
    assert load_table(path, label="answer").labels == ("no", "yes")


def test_a_short_table_is_refused_with_its_size(tmp_path: Path) -> None:
    assert "299 usable rows" in refusal(write_table(tmp_path / "t.csv", separable(299)))


def test_one_label_is_refused(tmp_path: Path) -> None:
    rows = [[a, b, "yes"] for a, b, _ in separable()]
    assert "nothing to decide" in refusal(write_table(tmp_path / "t.csv", rows))


def test_more_than_ten_labels_are_refused(tmp_path: Path) -> None:
    message = refusal(write_table(tmp_path / "t.csv", separable()), label="a")
    assert "20 different values" in message
    assert "2 to 10 labels" in message


def test_a_label_with_too_few_rows_is_named(tmp_path: Path) -> None:
    rows = separable()
    for row in rows[:9]:
        row[2] = "maybe"
    assert "label 'maybe' has 9 rows" in refusal(write_table(tmp_path / "t.csv", rows))


def test_bad_rows_are_named_by_number_and_left_out_only_when_asked(tmp_path: Path) -> None:
    rows = separable(500)
    rows[16] = [1, 2]
    rows[19][1] = "heavy"
    rows[29][2] = ""
    rows[39][0] = "inf"
    path = write_table(tmp_path / "t.csv", rows)
    message = refusal(path)
    assert "4 bad rows" in message
    for part in ("row 17 (line 18) has 2 fields", "row 20 (line 21) column 'b' has 'heavy'", "row 30", "row 40"):
        assert part in message
    data = load_table(path, skip_bad_rows=True)
    assert len(data.items) == 496
    assert "row-17" not in data.items
    assert any("left out" in note and "row 17" in note for note in data.notes)


def test_an_unclosed_quote_is_named_by_row(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", separable())
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[5] = '3,"4,yes'
    path.write_text("\n".join(lines), encoding="utf-8")
    assert "row 5" in refusal(path)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00a,b\n", "not UTF-8"),
        (b"a,a,label\n1,2,x\n", "two columns named 'a'"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert part in refusal(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.csv cannot be read" in refusal(tmp_path / "nowhere.csv")


def test_a_table_of_nothing_but_text_and_ids_is_refused_with_reasons(tmp_path: Path) -> None:
    rows = [[f"id{i}", f"words {i % 150}", "yes" if i % 3 else "no"] for i in range(400)]
    message = refusal(write_table(tmp_path / "t.csv", rows, ("item", "remark", "label")))
    assert "no column that a policy could use" in message
    assert "'remark' is ignored by policies" in message


def test_a_semicolon_table_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["a;b;Label", *(f"{a};{b};{label}" for a, b, label in separable())]
    path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    assert load_table(path).features == ("a", "b")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans())
def test_no_file_makes_the_reader_fail_in_an_unnamed_way(tmp_path: Path, noise: bytes, inside: bool) -> None:
    path = write_table(tmp_path / "t.csv", separable(310))
    whole = path.read_bytes()
    path.write_bytes(whole[:900] + noise + whole[900:] if inside else noise)
    with contextlib.suppress(InvalidInputError):
        assert len(load_table(path).items) >= 300
