from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.errors import InvalidInputError
from trimtab.plugins.importers import BadRow, KeyedRow, Row, keyed_rows, read_rows


def _rows(path: Path, content: str | bytes, **options: Any) -> list[Row | BadRow]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(path, **options))


def _values(rows: list[Row | BadRow]) -> list[dict[str, Any]]:
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.values for row in rows if isinstance(row, Row)]


def _problem(row: Row | BadRow) -> str:
    assert isinstance(row, BadRow), row
    return str(row)


def test_csv_cells_become_numbers_truth_values_text_and_nothing(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "a.csv", "n,x,flag,word,none,a.b\n3,-1.5e3,True,hello,,7\n")
    assert _values(rows) == [{"n": 3, "x": -1500.0, "flag": True, "word": "hello", "a": {"b": 7}}]


def test_text_columns_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "a.csv", "id,label\n007,1\n", text_columns=["id", "label"])
    assert _values(rows) == [{"id": "007", "label": "1"}]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_and_a_byte_order_mark_are_found_out(tmp_path: Path, separator: str) -> None:
    text = "\ufeff" + separator.join("ab") + "\n" + separator.join("12") + "\n"
    assert _values(_rows(tmp_path / "a.csv", text)) == [{"a": 1, "b": 2}]


def test_a_quoted_cell_may_hold_lines_and_later_lines_keep_their_numbers(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "a.csv", 'a,b\n"one\ntwo",1\nx\n')
    assert rows[0].place == "line 2"
    assert _problem(rows[1]).startswith("line 4: has 1 cells")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,\xff\n", "line 2: column 'b' is not UTF-8"),
        (b"a,b\n1,nan\n", "line 2: column 'b' says 'nan'"),
        (b"a,b\n1,-Infinity\n", "line 2: column 'b' says '-Infinity'"),
        (b"a,b\n1,2,3\n", "line 2: has 3 cells where the header has 2 columns"),
        (b'a,b\n1,"2"3\n', "line 2: is no CSV"),
        (b'a,b\n1,"2\n', "line 2: is no CSV"),
    ],
)
def test_a_bad_csv_row_is_named_and_the_reader_goes_on(tmp_path: Path, content: bytes, problem: str) -> None:
    assert _problem(_rows(tmp_path / "a.csv", content)[0]).startswith(problem)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.csv", b"a,a\n1,2\n", "two columns named 'a'"),
        ("a.csv", b"a,\n1,2\n", "column 2 has no name"),
        ("a.csv", b"a,a.b\n1,2\n", "part of the column 'a'"),
        ("a.csv", b"a..b,c\n1,2\n", "dot"),
        ("a.csv", b"\xff,b\n1,2\n", "not UTF-8"),
        ("a.jsonl", b"\n\n", "no rows"),
        ("a.parquet", b"not parquet", "no Parquet"),
        ("a.xlsx", b"x", ".csv, .tsv, .jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        _rows(tmp_path / name, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nowhere\.csv: there is no such file"):
        list(read_rows(tmp_path / "nowhere.csv"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "is no JSON"),
        (b"[1]", "must be a JSON object"),
        (b'{"a": NaN}', "cannot be used: it holds NaN"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "is nested too deeply"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "cannot be used"),
    ],
)
def test_a_bad_json_line_is_named_and_the_reader_goes_on(tmp_path: Path, line: bytes, problem: str) -> None:
    rows = _rows(tmp_path / "a.jsonl", b'{"a": 1}\n\n' + line + b'\n{"a": 2}\n')
    assert rows[0] == Row(place="line 1", values={"a": 1}, columns=("a",))
    assert _problem(rows[1]).startswith(f"line 3: {problem}")
    assert rows[2].place == "line 4"


def test_parquet_values_become_json_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": [1, None],
            "x": [0.5, float("nan")],
            "at": [datetime(2026, 1, 2, tzinfo=UTC), None],
            "list": [["a"], None],
            "deep": [{"b": True}, None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet"))
    assert _values(rows[:1]) == [
        {"n": 1, "x": 0.5, "at": "2026-01-02T00:00:00+00:00", "list": ["a"], "deep": {"b": True}}
    ]
    assert _problem(rows[1]).startswith("row 2: column 'x' holds nan")


def _keyed(*rows: Row | BadRow, **options: Any) -> list[KeyedRow | BadRow]:
    return list(keyed_rows(rows, name="file", **options))


def _row(**values: Any) -> Row:
    return Row(place="line 2", values=values, columns=tuple(values))


def test_rows_are_divided_into_key_label_confidence_and_the_rest() -> None:
    found = _keyed(_row(id="k", label=1.0, sure=0.5, x=1), label_column="label", confidence_column="sure")
    assert found == [KeyedRow(place="line 2", key="k", label="1", confidence=0.5, payload={"x": 1})]


def test_without_a_key_the_place_in_the_file_is_the_key() -> None:
    assert _keyed(_row(x=1))[0] == KeyedRow(
        place="line 2", key="file/line-2", label=None, confidence=1.0, payload={"x": 1}
    )


def test_a_payload_column_is_the_payload() -> None:
    found = _keyed(_row(key="k", payload={"x": 1}))[0]
    assert isinstance(found, KeyedRow)
    assert found.payload == {"x": 1}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"id": "k", "label": None, "sure": 1}, "the label in column 'label' is missing"),
        ({"id": None, "label": "a", "sure": 1}, "the key in column 'id' is missing"),
        ({"id": ["k"], "label": "a", "sure": 1}, "the key in column 'id' is no text"),
        ({"id": "k", "label": "a", "sure": "very"}, "the confidence in column 'sure' is no number"),
    ],
)
def test_a_row_without_key_or_label_is_bad_by_name(values: dict[str, Any], problem: str) -> None:
    found = _keyed(_row(**values), label_column="label", confidence_column="sure")
    assert isinstance(found[0], BadRow)
    assert found[0].problem.startswith(problem)


def test_a_column_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(InvalidInputError, match=r"no column 'label' in line 2; it has: id, x"):
        _keyed(_row(id="k", x=1), label_column="label")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
def test_whatever_the_bytes_a_reader_yields_rows_or_refuses(tmp_path: Path, content: bytes, suffix: str) -> None:
    try:
        rows = _rows(tmp_path / f"fuzz{suffix}", content)
    except InvalidInputError:
        return
    for row in rows:
        if isinstance(row, Row):
            json.dumps(row.values, allow_nan=False)
