from __future__ import annotations

import json

import pytest
from tests.cli.steps import SPEC, Cli

from trimtab.core.agents import parse_toml


def test_a_built_in_agent_is_added_once_and_listed(cli: Cli) -> None:
    assert cli.json("agents", "add", "--builtin", "mail_triage") == {"agent": "mail_triage", "new": True, "version": 1}
    assert cli.json("agents", "add", "--builtin", "mail_triage")["new"] is False
    assert [one["agent"] for one in cli.json("agents", "list")["agents"]] == ["mail_triage"]
    assert "mail_triage" in cli.run("agents", "show", "mail_triage").stdout


def test_adding_an_agent_starts_a_database(cli: Cli) -> None:
    url = f"sqlite:///{cli.folder / 'new.db'}"
    cli.run("agents", "add", "--builtin", "inbox_triage", "--db", url)
    assert cli.json("status", "--db", url)["agents"][0]["agent"] == "inbox_triage"


def test_a_wrong_spec_names_the_place_and_an_unknown_builtin_those_there_are(cli: Cli) -> None:
    broken = cli.file("broken.toml", SPEC.replace('kind = "count"', 'kind = "amount"'))
    assert "features[0].kind" in cli.error("agents", "add", broken, code=2)["message"]
    assert cli.error("agents", "add", cli.file("no.toml", "= ="), code=2)["code"] == "invalid_spec"
    assert "mail_triage" in cli.error("agents", "add", "--builtin", "x", code=3)["message"]
    assert "--builtin" in cli.error("agents", "add", code=2)["message"]


def test_an_inferred_spec_is_written_as_toml_and_never_over_a_file(cli: Cli) -> None:
    sample = cli.file(
        "sample.jsonl",
        "\n".join(json.dumps({"mail": {"links": i % 7}, "html": i % 2 == 0, "answer": "ab"[i % 2]}) for i in range(40)),
    )
    arguments = ("agents", "infer", sample, "--agent", "mails", "--label", "answer")
    spec = parse_toml(cli.run(*arguments).stdout)
    assert (spec.agent, spec.labels) == ("mails", ("a", "b"))
    assert {one.path for one in spec.features} == {"mail.links", "html"}
    cli.run(*arguments, "--out", "mails.toml")
    assert parse_toml((cli.folder / "mails.toml").read_text()) == spec
    assert "exists already" in cli.error(*arguments, "--out", "mails.toml", code=3)["message"]
    cli.run("agents", "add", "mails.toml")


def test_a_decision_says_its_label_arm_reason_and_why(trained: Cli) -> None:
    found = trained.json("decide", "triage", "--key", "k", "--payload", '{"links": 5, "caps": 0.2}')
    assert (found["label"], found["confidence"], found["arm"], found["reason"]) == ("spam", 0.8, "baseline", "STATIC")
    assert found["bundle"] == trained.champion()
    assert found["explanation"]["label"] == "spam"
    stored = trained.json("decisions", "show", found["id"])
    assert stored["payload"] == {"links": 5, "caps": 0.2}
    assert trained.json("decisions", "explain", found["id"]) == found["explanation"]
    shown = trained.run("decide", "triage", "--key", "k", "--payload", '{"links": 1}').stdout
    assert shown.splitlines()[0] == "ham"
    assert trained.json("decisions", "daily", "triage")["days"][0]["decisions"] == 2


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ('{"links": "many"}', "links"),
        ('{"links": -1}', "links"),
        ('{"caps": 3}', "caps"),
        ('{"caps": NaN}', "payload"),
        ('{"caps": 1e999}', "payload"),
        ("[1]", "object"),
        ("{", "JSON"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested"),
        (json.dumps({"text": "x" * 70_000}), "bytes"),
        ("@nowhere.json", "nowhere.json"),
    ],
)
def test_a_payload_that_the_spec_does_not_allow_is_refused_by_name(trained: Cli, payload: str, named: str) -> None:
    error = trained.error("decide", "triage", "--key", "k", "--payload", payload, code=2)
    assert error["code"] == "invalid_payload"
    assert named in error["message"]
    assert trained.json("decisions", "list", "triage")["decisions"] == []


def test_with_lenient_a_wrong_value_is_taken_as_missing(trained: Cli) -> None:
    found = trained.json("decide", "triage", "--key", "k", "--payload", '{"links": "many"}', "--lenient")
    assert found["label"] == "ham"
    assert "links" in found["explanation"]["problems"][0]


def test_unknown_agents_and_labels_are_refused_before_anything_is_decided(trained: Cli) -> None:
    assert trained.error("decide", "nobody", "--key", "k", "--payload", "{}", code=3)["code"] == "not_found"
    asked = ("decide", "triage", "--key", "k", "--payload", "{}")
    assert "eggs" in trained.error(*asked, "--fallback", "eggs", code=2)["message"]
    assert "--file" in trained.error("decide", "triage", "--key", "k", code=2)["message"]


def test_a_file_is_decided_row_by_row_with_json_lines_and_bad_rows_named(trained: Cli) -> None:
    file = trained.file("in.csv", "id,links,caps\na,5,0.1\nb,0,0.1\nc,1\nd,7,0.9\n")
    result = trained.run("decide", "triage", "--file", file, "--json", code=2)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one.get("key"), one.get("label")) for one in lines] == [
        ("a", "spam"),
        ("b", "ham"),
        (None, None),
        ("d", "spam"),
    ]
    assert lines[2]["place"] == "line 4"
    assert "line 4" in json.loads(result.stderr)["error"]["message"]
    assert len(trained.json("decisions", "list", "triage")["decisions"]) == 3


def test_a_file_s_decisions_are_counted_by_label_and_arm(trained: Cli) -> None:
    shown = trained.run("decide", "triage", "--file", "mails.csv", "--ignore", "label").stdout
    assert "120 decisions stored" in shown
    assert "baseline" in shown
    assert trained.json("status")["agents"][0]["decisions"] == 120


def test_the_kill_switch_makes_every_decision_the_fallback(trained: Cli) -> None:
    trained.run("agents", "kill", "triage", "--reason", "it misbehaves")
    asked = ("decide", "triage", "--key", "k", "--payload", '{"links": 9}', "--fallback", "ham")
    assert (trained.json(*asked)["label"], trained.json(*asked)["reason"]) == ("ham", "DISABLED")
    assert trained.json("status")["agents"][0]["kill_switch"] is True
    trained.run("agents", "revive", "triage", "--reason", "mended")
    assert trained.json(*asked)["label"] == "spam"
