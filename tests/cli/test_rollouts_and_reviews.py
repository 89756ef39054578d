from __future__ import annotations

import pytest
from tests.cli.steps import Cli

from trimtab.cli.output import Output
from trimtab.cli.plain import clean


def test_a_live_rollout_shows_its_step_evidence_and_what_is_missing(live: Cli) -> None:
    found = live.json("rollouts", "show", "triage")
    assert (found["rollout"]["state"], found["rollout"]["share"]) == ("running", 0.5)
    assert found["assessment"]["decision"] == "hold"
    assert found["assessment"]["missing"]
    assert [one["action"] for one in found["events"]] == ["start"]
    assert len(found["packets"]) == 1
    shown = live.run("rollouts", "show").stdout
    for word in ("the guard", "hold", "waits for", "quality", "what happened"):
        assert word in shown
    assert live.json("rollouts", "list", "triage", "--live")["rollouts"][0]["id"] == found["rollout"]["id"]


def test_people_find_a_bad_challenger_and_the_guard_rolls_it_back(live: Cli) -> None:
    drawn = live.json("reviews", "sample", "--agent", "triage", "--budget", 0, "--discordant-quota", 60)["samples"][0]
    assert drawn["queued"] > 12
    right = {"spam": "2\n", "ham": "1\n"}
    worked = live.json("reviews", "work", "--agent", "triage", given=right["spam"] * drawn["queued"])
    assert worked == {"answered": drawn["queued"], "skipped": 0}
    acted = live.json("rollouts", "tick")["ticks"][0]
    assert acted["acted"] == "roll_back"
    assert live.json("rollouts", "show", "triage")["rollout"]["state"] == "rolled_back"
    assert live.error("rollouts", "promote", "triage", "--reason", "still", code=3)["code"] == "illegal_transition"
    assert live.json("verify")["holds"] is True


def test_a_person_can_hold_resume_and_end_a_rollout_and_must_say_why(live: Cli) -> None:
    assert live.run("rollouts", "hold", "triage", code=2).stderr.startswith("error: Missing option '--reason'")
    assert live.error("rollouts", "hold", "triage", "--reason", " ", code=2)["code"] == "invalid_input"
    assert live.json("rollouts", "hold", "triage", "--reason", "odd")["state"] == "held"
    assert live.json("rollouts", "resume", "triage", "--reason", "fine")["state"] == "running"
    assert "promote instead" in live.error("rollouts", "advance", "triage", "--reason", "go", code=3)["message"]
    assert live.json("rollouts", "promote", "triage", "--reason", "sure")["state"] == "promoted"
    assert live.json("bundles", "rollback", "triage", "--reason", "not so sure")["champion"]
    reasons = [one["details"]["reason"] for one in live.json("rollouts", "show", "triage")["events"]]
    assert reasons[1:] == ["odd", "fine", "sure"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("rollouts", "tick"), "triage: hold, now running at 50 %"),
        (("rollouts", "list"), "running"),
        (("rollouts", "hold", "triage", "--reason", "odd"), "held at 50 % (odd)"),
        (("decisions", "daily", "triage"), "canary"),
        (("decisions", "list", "triage"), "SPLIT"),
        (("reviews", "sample"), "decisions looked at"),
        (("reviews", "queue"), "no open questions"),
        (("jobs", "list"), "daily at 02:00 UTC"),
        (("jobs", "run", "load_feeds"), "succeeded"),
        (("jobs", "due"), "guard_report"),
        (("db", "check"), "rollouts"),
        (("signing", "rotate"), "public key: "),
        (("settings",), "TRIMTAB_DATABASE_URL"),
        (("agents", "list"), "triage"),
        (("judges", "weights", "triage"), "was measured yet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_people_get_words_where_programs_get_json(live: Cli, command: tuple[str, ...], said: str) -> None:
    for width in ("60", "200"):
        assert said in live.run(*command, COLUMNS=width).stdout.replace("\n", " ")
        if command[:2] in (("rollouts", "hold"), ("jobs", "due"), ("reviews", "sample")):
            break  # doing it again is another answer


def test_one_decision_is_shown_and_explained_to_people(live: Cli) -> None:
    decision = live.json("decisions", "list", "triage", "--limit", 1)["decisions"][0]["id"]
    assert "payload" in live.run("decisions", "show", decision).stdout
    assert "with probability" in live.run("decisions", "explain", decision).stdout
    assert live.error("decisions", "show", "x", code=3)["code"] == "not_found"


@pytest.mark.parametrize(("verb", "state"), [("rollback", "rolled_back"), ("abort", "aborted")])
def test_an_ended_rollout_leaves_the_champion(live: Cli, verb: str, state: str) -> None:
    before = live.champion()
    assert live.json("rollouts", verb, "triage", "--reason", "enough")["state"] == state
    assert live.champion() == before


def test_a_packet_is_written_and_checked_without_the_database_and_an_edit_is_seen(live: Cli) -> None:
    name = live.json("rollouts", "show")["packets"][0]
    live.run("rollouts", "packet", name[:10], "--out", "packet.json")
    checked = live.json("verify", "--packets", "packet.json", "--db", "sqlite:///nowhere.db")
    assert (checked["holds"], checked["packets"][0]["signature_holds"]) == (True, None)
    assert "signatures were not checked" in live.run("verify", "--packets", "packet.json").stdout
    path = live.folder / "packet.json"
    path.write_text(path.read_text().replace('"start"', '"promote"'))
    assert live.json("verify", "--packets", "packet.json", code=1)["holds"] is False
    assert "was changed" in live.run("verify", "--packets", "packet.json", code=1).stdout
    assert live.error("verify", "--packets", live.file("x.json", "{}"), code=2)["code"] == "invalid_input"


def test_a_packet_s_signature_is_checked_with_the_published_key(live: Cli) -> None:
    name = live.json("rollouts", "show")["packets"][0]
    live.run("rollouts", "packet", name, "--out", "packet.json")
    old = live.json("signing", "keys")["keys"][0]["public_key"]
    check = ("verify", "--packets", "packet.json", "--public-key")
    assert live.json(*check, old)["packets"][0]["signature_holds"] is True
    new = live.json("signing", "rotate")["public_key"]
    assert live.json(*check, new, code=1)["packets"][0]["signature_holds"] is False
    assert "not signed with that key" in live.run(*check, "nonsense", code=1).stdout
    assert [one["public_key"] for one in live.json("signing", "keys")["keys"]] == [old, new]
    assert old in live.run("signing", "keys").stdout
    assert live.json("verify")["holds"] is True


def test_a_question_is_claimed_answered_and_does_not_come_back(live: Cli) -> None:
    live.run("reviews", "sample", "--budget", 3, "--discordant-quota", 0)
    question = live.json("reviews", "claim")["question"]
    assert set(question["labels"]) == {"ham", "spam"}
    assert "links" in question["payload"]
    item = question["item"]["id"]
    assert live.json("reviews", "claim")["question"]["item"]["id"] == item
    assert live.error("reviews", "answer", item, "eggs", code=2)["code"] == "invalid_input"
    assert live.error("reviews", "answer", item, "ham", "--as", "ben", code=3)["code"] == "conflict"
    assert live.json("reviews", "answer", item, "ham", "--note", "plain", "--confidence", 0.9)["state"] == "answered"
    assert item not in {one["id"] for one in live.json("reviews", "queue")["items"]}
    stats = live.json("reviews", "stats", "--agent", "triage")["stats"]
    assert sum(one["n"] for one in stats if one["state"] == "answered") == 1


def test_a_skipped_question_is_asked_again_when_reopened(live: Cli) -> None:
    live.run("reviews", "sample", "--budget", 1, "--discordant-quota", 0)
    item = live.json("reviews", "claim")["question"]["item"]["id"]
    assert live.json("reviews", "skip", item)["state"] == "skipped"
    assert live.json("reviews", "claim")["question"] is None
    assert live.json("reviews", "reopen", item)["state"] == "open"
    assert live.json("reviews", "claim")["question"]["item"]["id"] == item


def test_working_through_the_queue_takes_numbers_skips_and_quits(live: Cli) -> None:
    live.run("reviews", "sample", "--budget", 5, "--discordant-quota", 0)
    result = live.run("reviews", "work", given="7\n1\ns\n2\nq\n")
    assert "2 answered, 1 skipped" in result.stdout
    assert "type a number from 1 to 2" in result.stdout
    assert live.json("reviews", "work", given="")["answered"] == 0


def test_nothing_in_a_payload_is_obeyed_by_the_terminal(trained: Cli) -> None:
    hostile = '{"links": 1, "subject": "\\u001b]0;owned\\u0007\\u001b[2Jcheap \\u202epills\\u009b31m\\r!"}'
    trained.run("decide", "triage", "--key", "k\u00e9y", "--payload", hostile)
    trained.run("reviews", "sample", "--budget", 1)
    for command in (("reviews", "claim"), ("reviews", "work"), ("decisions", "list", "triage")):
        shown = trained.run(*command, given="q\n").stdout
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(shown)
    assert "cheap pills" in trained.run("reviews", "claim").stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b", "a\ufffdb"),
        ("a\u202eb\u200bc", "abc"),
        ("two\nlines", "two lines"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
    ],
)
def test_text_is_cleaned_of_what_a_terminal_would_obey(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_markup_in_data_stays_text(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("name",), [("[red]x[/red]",)])
    assert "[red]x[/red]" in capsys.readouterr().out
