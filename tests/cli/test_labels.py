from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.steps import SPEC, Cli

MANY = 5_200


@pytest.fixture
def agent(cli: Cli) -> Cli:
    cli.run("agents", "add", cli.file("triage.toml", SPEC))
    return cli


def _with_bad_line_5000(cli: Cli, bad: str) -> Path:
    rows = [f"m{i},{i % 9},0.5,{'spam' if i % 9 > 4 else 'ham'}" for i in range(MANY)]
    rows[4_998] = bad  # the header is line 1
    return cli.file("mails.csv", "id,links,caps,label\n" + "\n".join(rows) + "\n")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("x,1,0.5", "3 cells"),
        ("x,1,NaN,ham", "'NaN'"),
        ("x,1,0.5,eggs", "'eggs'"),
        ("x,1,0.5,", "label"),
        ('x,1,"0.5"x,ham', "CSV"),
    ],
)
def test_a_bad_line_5000_is_named_and_nothing_is_imported(agent: Cli, bad: str, problem: str) -> None:
    error = agent.error("labels", "import", "triage", _with_bad_line_5000(agent, bad), code=2)
    assert error["message"].startswith("line 5000: ")
    assert problem in error["message"]
    assert "Nothing was imported" in error["message"]
    assert agent.json("labels", "stats")["total"] == 0


@pytest.mark.parametrize("bad", ["x,1,0.5", "x,1,0.5,eggs"])
def test_with_skip_bad_the_others_are_imported_and_the_line_is_named(agent: Cli, bad: str) -> None:
    found = agent.json("labels", "import", "triage", _with_bad_line_5000(agent, bad), "--skip-bad")
    assert found["added"] == MANY - 1
    assert [one.partition(":")[0] for one in found["refused"]] == ["line 5000"]


def test_importing_the_same_file_again_changes_nothing(trained: Cli) -> None:
    again = trained.json("labels", "import", "triage", "mails.csv")
    assert (again["added"], again["present"], again["refused"]) == (0, 120, [])


def test_a_missing_label_column_names_the_columns_that_are_there(agent: Cli) -> None:
    file = agent.file("x.csv", "id,links,verdict\na,1,ham\n")
    error = agent.error("labels", "import", "triage", file, code=2)
    assert "'label'" in error["message"]
    assert "id, links, verdict" in error["message"]
    assert agent.json("labels", "import", "triage", file, "--label-column", "verdict")["added"] == 1


def test_an_unknown_agent_and_an_unknown_feed_are_named(agent: Cli) -> None:
    file = agent.file("x.csv", "id,links,label\na,1,ham\n")
    assert "triage" in agent.error("labels", "import", "nobody", file, code=3)["message"]
    assert "feedback" in agent.error("labels", "load", "--feed", "gossip", code=2)["message"]


def test_json_lines_with_a_payload_confidence_and_key_are_imported_as_they_are(agent: Cli) -> None:
    rows = [
        {"key": "a", "label": "spam", "sure": 0.7, "payload": {"links": 3, "deep": {"er": True}}},
        {"key": "b", "label": "ham", "sure": None, "payload": {"links": 0}},
    ]
    file = agent.file("rows.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert agent.json("labels", "import", "triage", file, "--confidence-column", "sure")["added"] == 2


def test_gold_tasks_become_labels_with_the_next_load_and_win_over_others(trained: Cli) -> None:
    file = trained.file("gold.csv", "id,links,caps,label\nm0,1,0.5,spam\nm1,1,0.5,ham\n")
    assert trained.json("labels", "gold", "triage", file)["added"] == 2
    assert trained.json("labels", "gold", "triage", file)["added"] == 0
    feeds = trained.json("labels", "load", "--agent", "triage", "--feed", "gold")["feeds"]
    assert [(one["feed"], one["added"]) for one in feeds] == [("gold", 2)]
    stats = trained.json("labels", "stats", "--agent", "triage")
    assert stats["by_source"] == {"gold": 2, "import": 120}
    conflicts = trained.json("labels", "conflicts", "triage")["conflicts"]
    assert len(conflicts) == stats["conflicts"]
    assert all("gold" in one["sources"] for one in conflicts)


def test_figures_are_shown_to_people(trained: Cli) -> None:
    shown = trained.run("labels", "stats", "--agent", "triage").stdout
    assert "by source" in shown
    assert "import" in shown
    assert "no source contradicts another" in trained.run("labels", "conflicts", "triage").stdout
