from __future__ import annotations

import json

import pytest
from tests.cli.steps import SPEC, Cli, rules_bundle


def test_training_without_enough_labels_says_what_is_missing(cli: Cli) -> None:
    cli.run("agents", "add", cli.file("triage.toml", SPEC))
    error = cli.error("bundles", "train", "triage", code=1)
    assert error["code"] == "insufficient_data"
    assert "50" in error["message"]


def test_the_same_labels_and_seed_give_the_same_bundle_with_its_report(trained: Cli, candidate: str) -> None:
    again = trained.json("bundles", "train", "triage", "--seed", 1)
    assert again["report"]["held_out"]["n"] > 0
    other = trained.json("bundles", "train", "triage", "--seed", 1)
    assert again["sha256"] == other["sha256"]
    assert candidate in {one["sha256"] for one in trained.json("bundles", "list", "triage")["bundles"]}
    assert (
        "there are logistic, tree"
        in trained.error("bundles", "train", "triage", "--method", "magic", code=2)["message"]
    )


def test_a_bundle_is_readable_with_features_policy_and_report(trained: Cli, candidate: str) -> None:
    shown = trained.run("bundles", "show", candidate[:12]).stdout
    for word in ("towards spam", "stands in when unknown", "held-out report", "links"):
        assert word in shown
    rules = trained.run("bundles", "show", "champion", "--agent", "triage").stdout
    assert "links >= 2: spam (0.8)" in rules
    assert "nothing is known about this bundle" in rules
    assert trained.json("bundles", "show", candidate)["sha256"] == candidate


def test_a_tree_is_shown_question_by_question(trained: Cli) -> None:
    tree = trained.json("bundles", "train", "triage", "--method", "tree")["sha256"]
    assert "links <= " in trained.run("bundles", "show", tree).stdout


def test_the_diff_to_the_champion_is_readable(trained: Cli, candidate: str) -> None:
    shown = trained.run("bundles", "diff", "triage", "--after", candidate[:10]).stdout
    assert "coefficient links" in shown
    assert trained.json("bundles", "diff", "triage", "--after", candidate)["challenger"] == candidate


def test_an_exported_bundle_is_named_by_its_hash_and_comes_back_verified(trained: Cli, candidate: str) -> None:
    path = trained.json("bundles", "export", candidate)["file"]
    assert path == f"{candidate}.json"
    back = trained.json("bundles", "upload", "triage", path)
    assert back == {"sha256": candidate, "agent": "triage", "new": False, "verified": True}
    assert "exists already" in trained.error("bundles", "export", candidate, code=3)["message"]


def test_an_edited_bundle_is_refused_because_its_hash_is_another(trained: Cli, candidate: str) -> None:
    trained.run("bundles", "export", candidate)
    path = trained.folder / f"{candidate}.json"
    document = json.loads(path.read_text())
    document["escalate_below"] = 0.01
    path.write_text(json.dumps(document))
    error = trained.error("bundles", "upload", "triage", path, code=2)
    assert error["code"] == "invalid_bundle"
    assert "edited" in error["message"]
    assert len(trained.json("bundles", "list", "triage")["bundles"]) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "x" * 3_000_000, '{"schema": "trimtab.bundle/1"}'])
def test_a_file_that_is_no_bundle_is_refused(trained: Cli, text: str) -> None:
    error = trained.error("bundles", "upload", "triage", trained.file("b.json", text), code=2)
    assert error["code"] == "invalid_bundle"


def test_a_proposer_may_not_approve_and_somebody_else_may(trained: Cli, candidate: str) -> None:
    proposal = trained.proposed(candidate, by="ann")
    assert trained.error("proposals", "approve", proposal, "--as", "ann", code=4)["code"] == "four_eyes"
    assert trained.json("proposals", "approve", proposal, "--as", "ben")["state"] == "approved"
    assert trained.error("proposals", "approve", proposal, "--as", "cid", code=3)["code"] == "illegal_transition"


def test_a_proposal_without_replay_says_so_in_red(trained: Cli, candidate: str) -> None:
    proposal = trained.proposed(candidate)
    assert trained.json("proposals", "show", proposal)["evidence"]["replay"] is None
    shown = trained.run("proposals", "show", proposal).stdout
    assert "NO REPLAY EVIDENCE" in shown
    assert "coefficient links" in shown
    assert "without replay" in trained.run("proposals", "approve", proposal, "--as", "ben").stdout


def test_a_replay_shows_which_logged_decisions_would_change_and_is_part_of_a_proposal(
    trained: Cli, candidate: str
) -> None:
    trained.run("decide", "triage", "--file", "mails.csv", "--ignore", "label")
    trained.run("labels", "gold", "triage", "mails.csv")
    trained.run("labels", "load")
    found = trained.json("bundles", "replay", "triage", candidate)
    assert found["compared"] == 120
    assert found["flips"] == found["labelled_flips"] == found["better"] + found["worse"] > 0
    assert sum(map(sum, found["flip_matrix"])) == 120
    shown = trained.run("bundles", "replay", "triage", candidate).stdout
    for word in ("would come out differently", "difference in quality", "slices, the worst first", "better: a person"):
        assert word in shown
    proposal = trained.proposed(candidate)
    assert trained.json("proposals", "show", proposal)["evidence"]["replay"]["flips"] == found["flips"]
    assert "would come out differently" in trained.run("proposals", "show", proposal).stdout


def test_a_replay_of_a_slice_or_a_range_compares_only_that_and_nothing_is_not_nought(
    trained: Cli, candidate: str
) -> None:
    trained.run("decide", "triage", "--file", "mails.csv", "--ignore", "label")
    few = trained.json("bundles", "replay", "triage", candidate, "--where", "links <= 1")
    assert 0 < few["compared"] < 120
    none = ("bundles", "replay", "triage", candidate, "--until", "2020-01-01")
    assert trained.json(*none)["difference"] is None
    assert "nothing was compared" in trained.run(*none).stdout
    assert "where" in trained.error("bundles", "replay", "triage", candidate, "--where", "odd", code=2)["message"]
    assert "since" in trained.error("bundles", "replay", "triage", candidate, "--since", "once", code=2)["message"]


def test_an_id_may_be_shortened_to_what_is_unique(trained: Cli, candidate: str) -> None:
    proposal = trained.proposed(candidate)
    assert trained.json("proposals", "show", proposal[:35])["id"] == proposal
    assert "8 characters" in trained.error("proposals", "show", proposal[:5], code=2)["message"]
    assert trained.error("proposals", "show", "ffffffffff", code=3)["code"] == "not_found"


def test_drafts_are_proposed_rejected_and_withdrawn(trained: Cli, candidate: str) -> None:
    draft = trained.json("proposals", "create", "triage", candidate, "--draft", "--note", "try it")
    assert (draft["state"], draft["note"]) == ("draft", "try it")
    assert trained.json("proposals", "propose", draft["id"])["state"] == "pending"
    assert trained.error("proposals", "create", "triage", candidate, code=3)["code"] == "conflict"
    rejected = trained.json("proposals", "reject", draft["id"], "--as", "ben", "--reason", "too soon")
    assert (rejected["state"], rejected["reason"]) == ("rejected", "too soon")
    second = trained.proposed(candidate)
    assert trained.json("proposals", "withdraw", second)["state"] == "withdrawn"
    assert trained.error("proposals", "approve", second, "--as", "ben", code=3)["code"] == "illegal_transition"
    assert trained.json("proposals", "list", "triage", "--open")["proposals"] == []
    assert len(trained.json("proposals", "list")["proposals"]) == 3


def test_only_an_approved_proposal_is_applied(trained: Cli, candidate: str) -> None:
    proposal = trained.proposed(candidate)
    assert trained.error("proposals", "apply", proposal, code=3)["code"] == "illegal_transition"
    trained.run("proposals", "approve", proposal, "--as", "ben")
    plan = trained.file("plan.toml", "steps = [0.2, 0.9]")
    assert trained.error("proposals", "apply", proposal, "--plan", plan, code=2)["code"] == "invalid_plan"
    plan = trained.file("plan.toml", "steps = [0.2, 1.0]\nmin_keys = 7")
    applied = trained.json("proposals", "apply", proposal, "--plan", plan)
    rollout = trained.json("rollouts", "show", applied["rollout_id"])["rollout"]
    assert (rollout["share"], rollout["plan"]["min_keys"]) == (0.2, 7)


def test_a_champion_applied_without_canary_can_be_rolled_back(trained: Cli, candidate: str) -> None:
    before = trained.champion()
    trained.applied(candidate, "--without-canary")
    assert trained.champion() == candidate
    assert trained.json("bundles", "rollback", "triage", "--reason", "second thoughts")["champion"] == before
    error = trained.error("bundles", "rollback", "triage", "--steps", 5, "--reason", "more", code=3)
    assert error["code"] == "conflict"


def test_a_bundle_for_other_labels_is_refused(trained: Cli) -> None:
    text = rules_bundle().replace('"spam"', '"eggs"')
    assert "labels" in trained.error("bundles", "upload", "triage", trained.file("b.json", text), code=2)["message"]
