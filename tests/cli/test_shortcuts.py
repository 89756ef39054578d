from __future__ import annotations

import json

import pytest
from tests.cli.steps import SPEC, Cli, labelled_csv, rules_bundle


@pytest.fixture
def agent(cli: Cli) -> Cli:
    cli.run("agents", "add", cli.file("triage.toml", SPEC))
    labelled_csv(cli.folder / "mails.csv", rows=20)
    return cli


def test_an_inferred_spec_can_be_added_at_once(cli: Cli) -> None:
    file = labelled_csv(cli.folder / "mails.csv")
    found = cli.json("agents", "infer", file, "--label", "label", "--add")
    assert (found["version"], found["file"]) == (1, None)
    assert cli.json("agents", "show", "mails")["spec"]["labels"] == ["ham", "spam"]
    again = cli.run("agents", "infer", file, "--label", "label", "--add", "--out", "mails.toml").stdout
    assert "there already" in again
    assert 'agent = "mails"' in (cli.folder / "mails.toml").read_text()


def test_without_add_an_inferred_spec_is_only_shown(cli: Cli) -> None:
    file = labelled_csv(cli.folder / "mails.csv")
    assert cli.json("agents", "infer", file, "--label", "label")["version"] is None
    assert cli.error("agents", "show", "mails", code=3)["code"] == "not_found"


def test_a_spec_with_many_notes_shows_the_first_and_says_how_many_more(cli: Cli) -> None:
    names = [f"f{i}" for i in range(9)]
    rows = [[*(f"{i}.{j}5" for j in range(9)), "ab"[i % 2]] for i in range(30)]
    text = "\n".join(",".join(row) for row in [[*names, "label"], *rows])
    shown = cli.run("agents", "infer", cli.file("wide.csv", text), "--label", "label", "--add").stdout
    assert shown.count("check: ") == 5
    assert "and 4 more notes" in shown


@pytest.mark.parametrize(("part", "count"), [("1:5", 5), ("6:", 15), (":3", 3), ("20:99", 1), (":", 20), ("4:4", 1)])
def test_a_part_of_a_file_is_imported_by_its_row_numbers(agent: Cli, part: str, count: int) -> None:
    assert agent.json("labels", "import", "triage", "mails.csv", "--rows", part)["added"] == count


def test_two_parts_of_a_file_make_the_whole_and_overlap_is_counted_once(agent: Cli) -> None:
    assert agent.json("labels", "import", "triage", "mails.csv", "--rows", "1:12")["added"] == 12
    second = agent.json("labels", "import", "triage", "mails.csv", "--rows", "11:")
    assert (second["added"], second["present"]) == (8, 2)


@pytest.mark.parametrize("part", ["0:5", "5", "9:3", "-1:4", "a:b", "1:2:3", ":0", "21:", "9" * 40 + ":"])
def test_what_is_no_part_of_the_file_is_refused_with_an_example(agent: Cli, part: str) -> None:
    error = agent.error("labels", "import", "triage", "mails.csv", f"--rows={part}", code=2)
    assert error["message"].startswith("rows: ")
    assert agent.json("labels", "stats")["total"] == 0


def test_a_bad_row_outside_the_part_does_not_stop_it_and_keeps_its_line_number(agent: Cli) -> None:
    file = agent.file("odd.csv", "id,links,label\na,1,ham\nb,2\nc,3,spam\n")
    assert agent.json("labels", "import", "triage", file, "--rows", "3:3")["added"] == 1
    assert agent.error("labels", "import", "triage", file, "--rows", "2:", code=2)["message"].startswith("line 3: ")


def test_a_part_of_a_file_is_decided_on_and_made_gold(trained: Cli) -> None:
    lines = trained.run("decide", "triage", "--file", "mails.csv", "--ignore", "label", "--rows", "119:", "--json")
    assert [json.loads(line)["key"] for line in lines.stdout.splitlines()] == ["m118", "m119"]
    assert trained.json("labels", "gold", "triage", "mails.csv", "--rows", "119:") == {"added": 2, "labels": None}
    assert trained.json("labels", "gold", "triage", "mails.csv", "--rows", "118:", "--load") == {
        "added": 1,
        "labels": 3,
    }


def test_training_can_put_its_bundle_forward(trained: Cli) -> None:
    found = trained.json("bundles", "train", "triage", "--method", "tree", "--propose")
    proposal = trained.json("proposals", "show", "newest")
    assert (proposal["id"], proposal["bundle"]) == (found["proposal"], found["sha256"])
    assert trained.error("bundles", "train", "triage", "--method", "tree", "--propose", code=3)["code"] == "conflict"


def test_newest_names_the_bundle_that_was_stored_last(trained: Cli) -> None:
    tree = trained.json("bundles", "train", "triage", "--method", "tree")["sha256"]
    assert trained.json("bundles", "show", "newest", "--agent", "triage")["sha256"] == tree
    assert trained.json("bundles", "diff", "triage", "--after", "newest")["challenger"] == tree
    assert trained.json("proposals", "create", "triage", "newest")["bundle"] == tree


def test_newest_of_an_agent_without_bundles_says_how_to_get_one(agent: Cli) -> None:
    error = agent.error("proposals", "create", "triage", "newest", code=3)
    assert "trimtab bundles train triage" in error["message"]
    assert agent.error("bundles", "show", "newest", "--agent", "nobody", code=3)["code"] == "not_found"


def test_an_open_proposal_is_named_by_its_agent_or_as_newest(trained: Cli, candidate: str) -> None:
    for name in ("triage", "newest"):
        assert "open" in trained.error("proposals", "show", name, code=3)["message"]
    proposal = trained.proposed(candidate)
    for name in ("triage", "newest"):
        assert trained.json("proposals", "show", name)["id"] == proposal
    other = trained.json("bundles", "train", "triage", "--method", "tree", "--propose")["proposal"]
    assert trained.json("proposals", "show", "newest")["id"] == other
    error = trained.error("proposals", "approve", "triage", "--as", "ben", code=3)
    assert proposal in error["message"]
    assert other in error["message"]


def test_approving_can_start_the_rollout_in_one_go(trained: Cli, candidate: str) -> None:
    trained.proposed(candidate)
    found = trained.json("proposals", "approve", "triage", "--apply", "--as", "ben")
    assert found["proposal"]["state"] == "applied"
    live = trained.json("rollouts", "list", "--live")["rollouts"]
    assert [one["id"] for one in live] == [found["rollout_id"]]


def test_approving_the_first_bundle_with_apply_lets_it_serve_and_asks_for_no_replay(agent: Cli) -> None:
    agent.run("bundles", "upload", "triage", agent.file("rules.json", rules_bundle()))
    first = agent.run("proposals", "create", "triage", "newest").stdout
    assert "no champion to compare it with" in first
    said = agent.run("proposals", "approve", "triage", "--apply", "--as", "ben").stdout
    assert "serves every decision of triage now" in said
    assert "without replay" not in said
    assert agent.champion()


def test_with_apply_a_role_that_may_not_roll_out_does_nothing_at_all(trained: Cli, candidate: str) -> None:
    proposal = trained.proposed(candidate)
    error = trained.error("proposals", "approve", proposal, "--apply", "--as", "ben", "--role", "approver", code=4)
    assert error["code"] == "forbidden"
    assert "leave out --apply" in error["message"]
    assert trained.json("proposals", "show", proposal)["state"] == "pending"
    approved = trained.json("proposals", "approve", proposal, "--as", "ben", "--role", "approver")
    assert approved["state"] == "approved"


def test_one_s_own_proposal_is_not_approved_by_apply_either(trained: Cli, candidate: str) -> None:
    trained.proposed(candidate, by="ann")
    assert trained.error("proposals", "approve", "triage", "--apply", "--as", "ann", code=4)["code"] == "four_eyes"
    assert trained.json("rollouts", "list", "--live")["rollouts"] == []
