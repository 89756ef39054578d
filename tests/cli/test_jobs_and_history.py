from __future__ import annotations

import sqlite3

from tests.cli.steps import Cli


def test_a_job_runs_once_for_a_due_time_and_is_in_the_history(trained: Cli) -> None:
    ran = trained.json("jobs", "run", "load_feeds", "--due", "2026-01-31T02:00")
    assert (ran["state"], ran["due_at"]) == ("succeeded", "2026-01-31T02:00:00+00:00")
    assert trained.error("jobs", "run", "load_feeds", "--due", "2026-01-31T02:00Z", code=3)["code"] == "conflict"
    runs = trained.json("jobs", "history", "--name", "load_feeds")["runs"]
    assert [(one["state"], one["attempts"]) for one in runs] == [("succeeded", 1)]
    assert "load_feeds" in trained.run("jobs", "history").stdout
    listed = {one["name"]: one for one in trained.json("jobs", "list")["jobs"]}
    assert listed["load_feeds"]["last_success_due"] == "2026-01-31T02:00:00+00:00"
    assert listed["guard_tick"]["last_success_due"] is None


def test_an_unknown_job_and_a_due_time_that_is_none_are_named(trained: Cli) -> None:
    assert "guard_tick" in trained.error("jobs", "run", "nap", code=3)["message"]
    assert "ISO 8601" in trained.error("jobs", "run", "load_feeds", "--due", "noon", code=2)["message"]
    assert trained.error("jobs", "due", "--role", "viewer", code=4)["code"] == "forbidden"


def test_whatever_is_due_runs_and_only_once(trained: Cli) -> None:
    ran = {one["name"] for one in trained.json("jobs", "due")["runs"]}
    assert {"load_feeds", "update_weights", "sample_reviews", "guard_report"} <= ran
    again = {one["name"] for one in trained.json("jobs", "due")["runs"]}
    assert not {"load_feeds", "update_weights", "sample_reviews", "guard_report"} & again


def test_a_paused_loop_says_so_and_turns_again(trained: Cli) -> None:
    trained.run("pause", "--reason", "holidays")
    assert trained.json("status")["paused"] is True
    assert "PAUSED" in trained.run("status").stdout
    trained.run("resume", "--reason", "back")
    assert trained.json("status")["paused"] is False
    reasons = [one["details"]["reason"] for one in trained.json("audit", "--subject", "loop")["events"]]
    assert reasons == ["back", "holidays"]


def test_the_audit_log_says_who_did_what_as_whom(trained: Cli) -> None:
    newest = trained.json("audit", "--limit", 2)["events"]
    assert [one["action"] for one in newest] == ["proposal.apply", "proposal.approve"]
    assert (newest[1]["actor"], newest[1]["role"]) == ("ben", "admin")
    assert "ben (admin)" in trained.run("audit").stdout


def test_verify_holds_and_names_the_first_broken_link(trained: Cli) -> None:
    assert "everything holds" in trained.run("verify").stdout
    with sqlite3.connect(trained.folder / "trimtab.db") as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE audit SET body = replace(body, 'ann', 'eve') WHERE seq = 2")
    connection.close()
    found = trained.json("verify", code=1)
    assert (found["holds"], found["audit"]["broken_at"]) == (False, 2)
    assert "BROKEN at entry 2" in trained.run("verify", code=1).stdout


def test_the_database_is_made_migrated_and_counted(cli: Cli) -> None:
    url = f"sqlite:///{cli.folder / 'fresh.db'}"
    assert cli.error("db", "check", "--db", url, code=5)["code"] == "storage_unavailable"
    made = cli.json("db", "migrate", "--db", url)
    assert made["before"] is None
    assert cli.json("db", "migrate", "--db", url)["before"] == made["after"]
    checked = cli.json("db", "check", "--db", url)
    assert checked["schema"] == checked["newest"] == made["after"]
    assert checked["rows"]["agents"] == 0


def test_judges_without_verdicts_are_nothing_rather_than_nought(trained: Cli) -> None:
    assert trained.json("judges", "weights", "triage")["weights"] == []
    assert trained.json("judges", "update", "--agent", "triage")["weights"] == {"triage": []}
    assert trained.json("judges", "history", "triage")["history"] == []
    agreement = trained.json("judges", "agreement", "triage")["agreement"]
    assert all(one["accuracy"] is None and one["n"] == 0 for one in agreement)
    assert "nothing compared" in trained.run("judges", "agreement", "triage").stdout
