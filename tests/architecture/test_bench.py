"""The benchmarks themselves: found by name, alike in shape, and clean on stdout."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import __main__ as runner
from bench import _plots, oracles, replay, rivals, rivals_judges, training
from bench._panels import Panel
from bench.common import Report

from trimtab.core.judges.verdicts import JudgeVersion, VerdictTable
from trimtab.core.training import Method

ASKED = ["calibration", "check-cost", "guard", "judges", "paired", "ppi", "ramp", "replay", "sampling", "training"]


def test_every_benchmark_that_was_promised_has_its_own_name_and_runs_quickly_or_fully() -> None:
    names = runner.names()
    assert len(set(names)) == len(names)
    assert set(ASKED) <= set(names)
    for name in names:
        module = importlib.import_module(f"bench.{name.replace('-', '_')}")
        assert list(inspect.signature(module.run).parameters) == ["quick"], name


def test_a_benchmark_answers_programs_with_its_targets_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "check-cost", "--quick", "--json"])
    code = runner.main()
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert printed.out.count("\n") == 1
    assert set(answer) == {"name", "targets", "ok"}
    assert answer["name"] == "check-cost"
    assert {frozenset(target) for target in answer["targets"]} == {frozenset({"name", "value", "target", "ok"})}
    assert answer["ok"] == all(target["ok"] for target in answer["targets"])
    assert code == (0 if answer["ok"] else 1)
    assert "check-cost" in printed.err


def test_an_unknown_benchmark_is_refused_with_the_names_that_exist(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "speed"])
    assert runner.main() == 2
    assert "check-cost" in capsys.readouterr().err


def test_a_figure_that_was_not_measured_never_meets_its_target() -> None:
    report = Report("none")
    report.target("speed", None, "<= 1", ok=True)
    report.at_most("share", float("nan"), 1.0)
    assert not any(t["ok"] for t in report.result()["targets"])
    assert not Report("empty").result()["ok"]


def made_up() -> dict[str, Any]:
    report = Report("replay")
    report.at_most("speed", 3.0, 2.0)
    report.note("It is slow because of the weather.")
    report.table("Logistic bundles of one kind", ["what", "decisions a second"], [["a", 1e6], ["b", None]])
    return {**report.result(), "quick": True, "seconds": 1.0}


def test_the_page_says_what_is_missed_on_which_machine_and_when() -> None:
    page = runner.document([made_up()], {"replay": "Speed"}, date(2026, 5, 4))
    for words in ("**0 of 1 targets met.**", "Not met:", "2026-05-04", "cores", "numpy", "quick run", "weather"):
        assert words in page
    assert "![Speed](benchmarks/replay.svg)" in page
    assert "![" not in runner.document([made_up()], None, date(2026, 5, 4))


def test_plots_are_drawn_or_their_absence_is_said(tmp_path: Path) -> None:
    drawn = _plots.draw([made_up()], tmp_path)
    if drawn is None:
        assert "matplotlib is not installed here: no plots." in runner.document([made_up()], None, date(2026, 5, 4))
    else:
        svg = (tmp_path / "replay.svg").read_text(encoding="utf-8")
        assert drawn == {"replay": "Replay of logged decisions, one core"}
        assert _plots.INK in svg
        assert len(svg) < 100_000


def test_a_cell_of_words_draws_no_bar() -> None:
    assert [_plots.number(cell) for cell in ("1.8 %", 3, 2.5, "never", None, True)] == [1.8, 3, 2.5, None, None, None]


def test_formulas_equal_their_independent_oracles() -> None:
    assert oracles.normal_mixture() <= 1e-9
    assert oracles.normal_tail() <= 1e-7
    assert oracles.sample_ratio() <= 1e-9
    assert oracles.rates() <= 1e-9


def test_the_restated_test_of_growthbook_decides_by_its_own_interval() -> None:
    counts = [np.array([[v]]) for v in (1000.0, 700.0, 9000.0, 7600.0)]
    low, high = rivals.gbstats_interval(*counts)
    assert low < -0.1444 < high < 0
    back, forward = rivals.gbstats_sequential(*counts)
    assert back.all()
    assert not forward.any()


def test_an_aggregator_that_is_not_installed_or_does_not_apply_is_none_and_never_a_figure() -> None:
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(6)],
        judges=[JudgeVersion(judge=f"j{i}", version="1") for i in range(3)],
        labels=("a", "b", "c"),
        item=[i for i in range(6) for _ in range(3)],
        judge=[0, 1, 2] * 6,
        label=[i % 3 for i in range(6) for _ in range(3)],
    )
    panel = Panel(name="alike", table=table, gold=np.arange(6, dtype=np.int32) % 3)
    found = rivals_judges.aggregators(panel, names=("MajorityVote", "KOS"))
    installed = importlib.util.find_spec("crowdkit") is not None
    assert found == {"MajorityVote": 1.0 if installed else None, "KOS": None}


def test_the_replay_benchmark_counts_every_decision_and_equals_what_agents_run() -> None:
    champion, challenger = (replay.bundle(np.linspace(a, 1.0, 7)) for a in (-1.0, -0.8))
    found = replay.stream(champion, challenger, 2, answered=0.001, sliced=True)
    assert found["rate"] > 0
    assert replay.one_by_one(challenger, 300)[0] == 0


def test_the_training_benchmark_never_scores_a_row_whose_copy_was_taught() -> None:
    rng = np.random.default_rng(1)
    x = np.repeat(rng.normal(size=(150, 3)).round(1), 2, axis=0)
    y = (x[:, 0] > 0).astype(np.int64)
    copy = training.copies(x)
    assert copy.max() < 150
    folds = [(np.flatnonzero(copy % 3 != i), np.flatnonzero(copy % 3 == i)) for i in range(3)]
    posterior, _ = training.out_of_fold(training.ours(Method.LOGISTIC, 2), x, y, folds)
    assert posterior.sum(axis=1) == pytest.approx(1.0)
    assert ((posterior[:, 1] > 0.5) == y).mean() > 0.9
