from __future__ import annotations

import pytest
from tests.cli.steps import Cli, rules_bundle

from trimtab.bootstrap import build
from trimtab.core.events import VerdictEvent
from trimtab.core.ids import named_uuid7
from trimtab.core.rights import Actor, Role
from trimtab.settings import Settings

JUDGE = Actor(name="judge", role=Role.ADMIN)


@pytest.fixture
def decided(trained: Cli) -> Cli:
    """A champion that decided on every mail of the table."""
    trained.run("decide", "triage", "--file", "mails.csv", "--ignore", "label")
    return trained


@pytest.fixture
def judged(decided: Cli) -> Cli:
    """Two judges have spoken, and people have answered everything."""
    trimtab = build(Settings(database_url=decided.url), migrate=False)
    for row in trimtab.decisions.recent(JUDGE, "triage", limit=200):
        says = "spam" if row.payload["links"] >= 3 else "ham"
        events = [
            VerdictEvent(
                id=named_uuid7(row.at, row.id, name),
                agent="triage",
                at=row.at,
                decision_id=row.id,
                judge=name,
                version="1",
                label=label,
                confidence=0.9,
            )
            for name, label in (("links", says), ("grump", "spam"))
        ]
        trimtab.decisions.ingest(JUDGE, events)
    trimtab.close()
    decided.run("reviews", "sample", "--budget", 24, TRIMTAB_DOUBLE_REVIEW_SHARE="0")
    labels = {"ham": "1\n", "spam": "2\n"}
    decided.run("reviews", "work", given=(labels["ham"] + labels["spam"]) * 12)
    decided.run("judges", "update", "--agent", "triage")
    return decided


def disputed(cli: Cli) -> str:
    """The id of a question on which ben and cleo disagree."""
    cli.run("reviews", "sample", "--budget", 1, TRIMTAB_REVIEWERS_WANTED="2")
    item = str(cli.json("reviews", "claim", "--as", "ben")["question"]["item"]["id"])
    cli.run("reviews", "answer", item, "ham", "--note", "a letter", "--as", "ben")
    cli.run("reviews", "claim", "--as", "cleo")
    cli.run("reviews", "answer", item, "spam", "--as", "cleo")
    return item


def test_a_judge_is_shown_in_full(judged: Cli) -> None:
    found = judged.json("judges", "show", "triage", "grump")
    newest = found["versions"][0]
    assert (found["judge"], newest["version"]) == ("grump", "1")
    assert newest["snapshot"]["kappa"] == pytest.approx(0.0)
    assert newest["snapshot"]["confusion"]["labels"] == ["ham", "spam"]
    shown = judged.run("judges", "show", "triage", "links@1").stdout
    for words in ("agreement", "kappa", "calibration error", "confusion", "drift", "honest confidence", "versions"):
        assert words in shown
    assert "measured are grump, links" in judged.error("judges", "show", "triage", "jury", code=3)["message"]


def test_weights_show_kappa_and_drift_and_the_consensus_says_why(judged: Cli) -> None:
    weights = judged.run("judges", "weights", "triage").stdout
    assert "kappa" in weights
    assert "drift" in weights
    found = judged.json("judges", "consensus", "triage")["consensus"]
    assert found["snapshot"]["name"] == found["name"]
    assert found["n"] == found["snapshot"]["n"] > 0
    shown = judged.run("judges", "consensus", "triage").stdout
    for words in ("why", "held-out accuracy", "majority vote", "independent ones"):
        assert words in shown


def test_before_judges_are_measured_the_commands_say_how_to(decided: Cli) -> None:
    assert decided.json("judges", "consensus", "triage")["consensus"] is None
    assert "trimtab judges update" in decided.run("judges", "consensus", "triage").stdout
    assert "judges update" in decided.error("judges", "show", "triage", "links", code=3)["message"]


def test_a_dispute_is_listed_and_decided_by_somebody_else(decided: Cli) -> None:
    item = disputed(decided)
    (dispute,) = decided.json("reviews", "disputed", "--agent", "triage")["disputed"]
    assert dispute["item"]["id"] == item
    assert {(one["reviewer"], one["label"]) for one in dispute["answers"]} == {("ben", "ham"), ("cleo", "spam")}
    shown = decided.run("reviews", "disputed").stdout
    assert "ben: ham" in shown
    assert "a letter" in shown
    decide = ("reviews", "adjudicate", item[:13], "ham")
    assert "Missing option '--reason'" in decided.run(*decide, code=2).stderr
    assert decided.error(*decide, "--reason", "mine", "--as", "ben", code=3)["code"] == "conflict"
    assert decided.json(*decide, "--reason", "a real person")["state"] == "adjudicated"
    assert decided.json("reviews", "disputed")["disputed"] == []
    assert decided.json("verify")["holds"] is True


def test_the_figures_of_the_queue_say_how_far_reviewers_agree(decided: Cli) -> None:
    assert decided.json("reviews", "stats")["agreement"] == [
        {"agent": "triage", "alpha": None, "n": 0, "disagreed": 0, "disputed": 0, "reviewers": []}
    ]
    disputed(decided)
    (found,) = decided.json("reviews", "stats", "--agent", "triage")["agreement"]
    assert (found["n"], found["disagreed"], found["disputed"]) == (1, 1, 1)
    assert [(one["reviewer"], one["n"], one["agreement"]) for one in found["reviewers"]] == [
        ("ben", 0, None),
        ("cleo", 0, None),
    ]
    assert "nothing compared" in decided.run("reviews", "stats").stdout


def test_what_asking_was_worth_is_said_in_words(judged: Cli) -> None:
    found = judged.json("reviews", "worth", "triage")
    assert found["answered"] == 24
    assert found["served"]["n"] == found["audited"]
    assert found["advice"]["answered"] == 24
    shown = judged.run("reviews", "worth", "triage").stdout
    assert "decisions of the last 7 days have no answer" in shown


def test_the_ledger_adds_up_what_rollouts_registered(decided: Cli) -> None:
    assert decided.json("rollouts", "ledger", "triage")["total"]["rollouts"] == 0
    assert "no rollouts" in decided.run("rollouts", "ledger", "triage").stdout
    bad = decided.json("bundles", "upload", "triage", decided.file("bad.json", rules_bundle("ham", 2)))["sha256"]
    decided.applied(bad)
    found = decided.json("rollouts", "ledger", "triage")
    assert found["total"]["rollouts"] == len(found["entries"]) == 1
    assert found["entries"][0]["alpha_promote"] == found["total"]["false_promotions"] == 0.025
    assert decided.json("rollouts", "show", "triage")["ledger"] == found["total"]
    for command in (("ledger", "triage"), ("show", "triage")):
        assert "false promotions" in decided.run("rollouts", *command).stdout


@pytest.mark.parametrize(
    ("name", "value"), [("DOUBLE_REVIEW_SHARE", "many"), ("DOUBLE_REVIEW_SHARE", "nan"), ("REVIEWERS_WANTED", "0")]
)
def test_a_setting_of_reviewers_outside_its_range_is_refused_by_name(cli: Cli, name: str, value: str) -> None:
    result = cli.run("settings", code=2, **{f"TRIMTAB_{name}": value})
    assert f"TRIMTAB_{name}: must" in result.stderr
