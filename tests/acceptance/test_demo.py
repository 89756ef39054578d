from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, func, select
from tests.acceptance.demo_runs import Silent, run_and_summarise, write_table

from trimtab.core.bundles import Bundle
from trimtab.core.policy import compile_policy
from trimtab.demo.command import run_demo
from trimtab.demo.data_source import DemoData
from trimtab.demo.happenings import Tone
from trimtab.demo.people import START, arrivals, decision_id
from trimtab.demo.report import report
from trimtab.demo.run import DATABASE, Options, load, run
from trimtab.demo.story import Story
from trimtab.errors import ConflictError, InvalidInputError, StorageError
from trimtab.store import tables
from trimtab.store.engine import open_engine, reading

PUBLIC_TABLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "triage"
ESCAPE = "\x1b"


@dataclass(frozen=True)
class Ran:
    story: Story
    data: DemoData
    listener: Silent
    database: Path

    def rows(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        engine = open_engine(f"sqlite:///{self.database}")
        with reading(engine) as connection:
            found = [tuple(row) for row in connection.execute(query)]
        engine.dispose()
        return found


def _ran(options: Options, folder: Path) -> Ran:
    listener = Silent()
    story = run(options, folder, listener, passing=True)
    return Ran(story=story, data=load(options)[0], listener=listener, database=folder / DATABASE)


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Six days of the packaged mail."""
    return _ran(Options(days=6), tmp_path_factory.mktemp("mail"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Ten days of a small table: enough for a poisoned bundle."""
    folder = tmp_path_factory.mktemp("table")
    return _ran(Options(days=10, data=write_table(folder / "table.csv"), label="verdict"), folder)


# ---- what the demo does ----


def test_six_days_of_mail_end_with_a_champion_that_is_no_worse_and_a_history_that_verifies(mail: Ran) -> None:
    story = mail.story
    assert story.last.value >= story.first.value
    assert story.verification.holds
    assert story.verification.audit.length > 0
    assert [one.state for one in story.rollouts]


def test_the_poisoned_bundle_is_rolled_back_by_the_guard_and_never_serves_alone(table: Ran) -> None:
    poisoned = [one for one in table.story.rollouts if one.poisoned]
    assert [(one.state.value, one.by_guard) for one in poisoned] == [("rolled_back", True)]
    assert poisoned[0].rollout.challenger not in {bundle for _, bundle in table.story.champions}
    assert poisoned[0].truth.value < 0


def test_two_runs_with_one_seed_give_the_same_summary_and_another_seed_another_one(tmp_path: Path) -> None:
    data = write_table(tmp_path / "table.csv")
    told = []
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        story = run(Options(days=4, seed=seed, data=data, label="verdict"), tmp_path / name, Silent(), passing=True)
        told.append(story.to_mapping())
    first, again, other = told
    assert first["rollouts"]
    assert again == first
    assert other != first | {"seed": 1}


# ---- its figures ----


def test_what_each_day_served_is_what_the_database_has(mail: Ran) -> None:
    served = dict(mail.rows(select(tables.decisions.c.id, tables.decisions.c.label)))
    for day, items in enumerate(mail.data.days(6, START.weekday())):
        ids = {decision_id(0, mail.data.items[i], at): mail.data.label(i) for i, at in arrivals(day, items)}
        told = mail.story.days[day]
        assert told.mails == len(ids)
        assert told.right == sum(served[one] == label for one, label in ids.items())
    assert sum(day.mails for day in mail.story.days) == len(served)


def test_labels_are_those_of_the_database_day_by_day_and_in_all(mail: Ran) -> None:
    labels = tables.labels.c
    by_source = dict(mail.rows(select(labels.source, func.count()).group_by(labels.source)))
    told: dict[str, int] = {}
    for day in mail.story.days:
        for source, n in day.labels.items():
            told[source] = told.get(source, 0) + n
    assert told == by_source == mail.story.labels_by_source
    assert mail.story.human_labels == by_source["review"]


def test_the_accuracy_of_champions_is_that_of_their_stored_bundles_on_items_never_decided_on(
    mail: Ran,
) -> None:
    documents = dict(mail.rows(select(tables.bundles.c.sha256, tables.bundles.c.document)))
    decided = {key for (key,) in mail.rows(select(tables.decisions.c.key))}
    aside = mail.data.split.kept_aside
    assert not decided & {mail.data.key(i) for i in aside}
    for told in (mail.story.first, mail.story.last):
        policy = compile_policy(Bundle.from_json(str(documents[told.bundle])))
        right = sum(policy.decide(mail.data.payload(i)).label == mail.data.label(i) for i in aside)
        assert (told.right, told.n) == (right, len(aside))


def test_a_rollouts_counts_are_those_of_its_keys_until_the_verdict(table: Ran) -> None:
    keys = tables.rollout_keys.c
    for one in table.story.rollouts:
        end = one.rollout.ended_at or START + timedelta(days=365)
        both = [
            keys.rollout_id == one.rollout.id,
            keys.met_at <= end,
            keys.canary_label.is_not(None),
            keys.baseline_label.is_not(None),
        ]
        differ = [*both, keys.canary_label != keys.baseline_label]
        counts = [
            table.rows(select(func.count()).where(*conditions))[0][0]
            for conditions in (both, differ, [*differ, keys.paired_at <= end])
        ]
        assert counts == [one.decisions, one.discordant, one.labels]


def test_the_evidence_that_is_drawn_ends_at_the_verdict_with_every_label_in_it(table: Ran) -> None:
    for one in table.story.rollouts:
        if one.labels:
            assert one.points[-1].labels == one.labels
            assert all(point.low <= (point.estimate or 0.0) <= point.high for point in one.points)
    poisoned = next(one for one in table.story.rollouts if one.poisoned)
    assert poisoned.points[-1].harm >= 1


# ---- its screen and its report ----


def _page_without_tags(html: str) -> str:
    return re.sub(r"<[^>]*>", " ", html)


def test_the_report_asks_for_nothing_over_the_network_and_has_no_script(mail: Ran) -> None:
    page = report(mail.story)
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|@import|url\(|\son\w+=", page)
    assert page.count("<svg") > 10
    assert f"{100 * mail.story.last.value:.1f}&nbsp;%" in page


def test_hostile_names_in_a_table_are_shown_and_never_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = '<img src=x onerror=alert(1)>"&'
    lines = write_table(tmp_path / "plain.csv", yes="yes").read_text().replace("colour", name).splitlines()
    evil = tmp_path / "<b>bold.csv"
    evil.write_text("\n".join(lines) + "\n")
    html = tmp_path / "report.html"
    assert run_demo(days=3, data=evil, label="verdict", html=html) == 0
    page = html.read_text()
    assert "<img" not in page
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page
    assert ESCAPE not in capsys.readouterr().out


def test_output_that_is_no_terminal_has_one_line_a_day_and_no_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "report.html"
    code = run_demo(days=3, data=write_table(tmp_path / "t.csv"), label="verdict", html=html, keep=tmp_path / "kept")
    shown = capsys.readouterr().out
    assert code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown)
    assert len(re.findall(r"^day +\d+ ", shown, re.MULTILINE)) == 3
    assert all(len(line) <= 100 for line in shown.splitlines() if not line.startswith(("day", "next")))
    assert "verify  holds" in shown
    assert str(tmp_path / "kept" / DATABASE) in shown
    assert "trimtab verify" in shown


def test_json_has_stdout_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_demo(days=1, data=write_table(tmp_path / "t.csv"), label="verdict", html=tmp_path / "r.html", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["verify"]["holds"] is True
    assert document["rollouts"] == []
    assert document["report"] == str(tmp_path / "r.html")


def test_happenings_are_told_while_they_happen_as_they_are_in_the_story(table: Ran) -> None:
    told = [line.text for line in table.listener.lines if line.tone is not Tone.ROUTINE]
    assert told == [line.text for day in table.story.days for line in day.happenings if line.tone is not Tone.ROUTINE]


# ---- the user's own table ----


@pytest.mark.parametrize("name", ["spambase", "website_phishing_1353"])
def test_three_days_of_a_public_table_verify(name: str, tmp_path: Path) -> None:
    path = PUBLIC_TABLES / name / "features.csv"
    if not path.is_file():
        pytest.skip(f"{path.parent} is not beside this checkout")
    story = _ran(Options(days=3, data=path), tmp_path).story
    assert story.verification.holds
    assert story.last.value >= story.first.value


# ---- what can go wrong ----


def test_an_interrupted_demo_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    data, keep, html = write_table(tmp_path / "t.csv"), tmp_path / "kept", tmp_path / "r.html"
    code = (
        "from pathlib import Path; from trimtab.demo.command import run_demo; import sys; "
        f"sys.exit(run_demo(days=3, data=Path({str(data)!r}), label='verdict', keep=Path({str(keep)!r}), "
        f"html=Path({str(html)!r}), each_step=True))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("step 40 "):
                first.send_signal(signal.SIGINT)
                break
        _, complaint = first.communicate()
    assert first.returncode == 130
    assert f"trimtab demo --days 3 --data {data} --label verdict --keep {keep}" in complaint
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert re.search(r"^continuing on day 2 \(step 4\d of 92\)$", again.stdout, re.MULTILINE)
    (tmp_path / "reference").mkdir()
    run_and_summarise(tmp_path / "reference", data, 3)
    reference = json.loads((tmp_path / "reference" / "summary.json").read_text())
    assert f"{100 * reference['last_champion']['accuracy']:.1f} %" in again.stdout


def test_a_folder_with_another_demo_or_another_database_is_refused(tmp_path: Path) -> None:
    data = write_table(tmp_path / "t.csv")
    run(Options(days=1, data=data, label="verdict"), tmp_path, Silent(), passing=True)
    with pytest.raises(ConflictError, match=r"other options .*days 1, not 2"):
        run(Options(days=2, data=data, label="verdict"), tmp_path, Silent())
    (tmp_path / "demo-progress.json").write_text("{")
    with pytest.raises(ConflictError, match="damaged"):
        run(Options(days=1, data=data, label="verdict"), tmp_path, Silent())
    (tmp_path / "demo-progress.json").unlink()
    with pytest.raises(ConflictError, match="not this demo's"):
        run(Options(days=1, data=data, label="verdict"), tmp_path, Silent())


def test_a_finished_demo_run_again_does_nothing_and_shows_the_same(tmp_path: Path) -> None:
    options = Options(days=2, data=write_table(tmp_path / "t.csv"), label="verdict")
    first = run(options, tmp_path, Silent(), passing=True)
    listener = Silent()
    assert run(options, tmp_path, listener).to_mapping() == first.to_mapping()
    assert listener.lines == []


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"days": 0}, InvalidInputError, "from 1 to 365"),
        ({"seed": -1}, InvalidInputError, "seed"),
        ({"data": Path("nowhere.csv")}, InvalidInputError, "no such file"),
        ({"html": Path("no-such-folder/report.html")}, StorageError, "--html"),
    ],
)
def test_a_wrong_option_is_named_before_any_work_is_done(
    wrong: dict[str, object], error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run_demo(**wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_has_the_demo(tmp_path: Path) -> None:
    program = shutil.which("trimtab", path=str(Path(sys.executable).parent))
    command = [program] if program else [sys.executable, "-m", "trimtab"]
    shown = subprocess.run([*command, "demo", "--help"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert all(name in shown.stdout for name in ("--days", "--seed", "--data", "--label", "--keep", "--html", "--json"))
    refused = subprocess.run(
        [*command, "demo", "--db", "sqlite:///x.db"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert refused.returncode == 2
    assert "--keep" in refused.stderr
