from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update
from tests.services.steps import (
    ADMIN,
    APPROVER,
    MAIL,
    OPERATOR,
    VIEWER,
    add_agent,
    agent_with_rollout,
    at_once,
    crown,
    labelled_rows,
    rule_bundle,
    spec,
    start_rollout,
    upload,
)

from trimtab.bootstrap import Trimtab
from trimtab.core.rollouts import RolloutState
from trimtab.core.training import Method
from trimtab.errors import (
    ConflictError,
    ForbiddenError,
    InsufficientDataError,
    InvalidBundleError,
    InvalidInputError,
    NotFoundError,
)
from trimtab.store import tables
from trimtab.store.engine import writing


@pytest.fixture
def added(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    return trimtab


def taught(trimtab: Trimtab, n: int = 120) -> Trimtab:
    trimtab.labels.add_rows(OPERATOR, MAIL, labelled_rows(n), name="file")
    return trimtab


def test_training_refuses_below_fifty_examples_and_says_what_is_missing(added: Trimtab) -> None:
    taught(added, 49)
    with pytest.raises(InsufficientDataError, match="50 labelled examples are needed, there are 49: 1 more"):
        added.bundles.train(OPERATOR, MAIL)
    assert added.bundles.listing(VIEWER, MAIL) == []


def test_training_refuses_a_label_with_fewer_than_five_examples(added: Trimtab) -> None:
    rows = [replace(row, label="spam" if i < 3 else "ham") for i, row in enumerate(labelled_rows(60))]
    added.labels.add_rows(OPERATOR, MAIL, rows, name="file")
    with pytest.raises(InsufficientDataError, match="label 'spam' has 3 of 5 needed: 2 more"):
        added.bundles.train(OPERATOR, MAIL)


def test_the_same_labels_give_the_same_bundle(added: Trimtab) -> None:
    taught(added)
    first = added.bundles.train(OPERATOR, MAIL, method=Method.TREE)
    again = added.bundles.train(ADMIN, MAIL, method=Method.TREE)
    assert first.bundle.sha256 == again.bundle.sha256
    assert [row.sha256 for row in added.bundles.listing(VIEWER, MAIL)] == [first.bundle.sha256]
    assert first.bundle.lineage.n_examples == 120
    assert added.bundles.get(VIEWER, first.bundle.sha256).to_json() == first.bundle.to_json()


def test_a_trained_bundle_remembers_the_champion_it_challenges(added: Trimtab) -> None:
    champion = crown(taught(added), 5)
    result = added.bundles.train(OPERATOR, MAIL)
    assert result.bundle.lineage.parent == champion.sha256
    assert result.report.champion is not None


def test_an_upload_is_kept_once_under_its_hash(added: Trimtab) -> None:
    bundle = rule_bundle(spec(), 4)
    first = added.bundles.upload(OPERATOR, MAIL, bundle.to_json().encode(), expect_sha256=bundle.sha256)
    again = added.bundles.upload(ADMIN, MAIL, bundle.to_json().encode())
    assert (first.new, again.new) == (True, False)
    assert added.bundles.get(VIEWER, bundle.sha256[:8]) == bundle
    assert [event["action"] for event in added.history.audit(VIEWER)].count("bundle.upload") == 1


def test_an_edited_bundle_is_refused_by_its_hash(added: Trimtab) -> None:
    bundle = rule_bundle(spec(), 4)
    edited = bundle.to_json().replace('"value":4.0', '"value":6.0')
    assert edited != bundle.to_json()
    with pytest.raises(InvalidBundleError, match="was edited"):
        added.bundles.upload(OPERATOR, MAIL, edited.encode(), expect_sha256=bundle.sha256)


def hostile() -> dict[str, bytes]:
    good = json.loads(rule_bundle(spec(), 4).to_json())

    def but(**change: Any) -> bytes:
        return json.dumps({**good, **change}).encode()

    return {
        "no valid JSON": b"{",
        "bytes, at most": b" " * 2_000_001,
        "nested too deeply": b"[" * 200_000,
        "every number must be finite": but(escalate_below=float("nan")),
        "repeats a key": b'{"schema": 1, "schema": 1}',
        "agent: the bundle is for 'other'": but(agent="other"),
        "labels: the bundle has": but(
            labels=["ham", "parcel"],
            policy={**good["policy"], "rules": [], "default": {"label": "ham", "confidence": 0.9}},
        ),
        "unknown": but(run="import os"),
        "has no feature 'colour'": but(features=[*good["features"], {"name": "colour", "kind": "number"}]),
        "schema": but(schema="trimtab.bundle/99"),
    }


def test_hostile_uploads_are_refused_by_name_and_leave_nothing(added: Trimtab) -> None:
    for words, document in hostile().items():
        with pytest.raises(InvalidBundleError) as caught:
            added.bundles.upload(OPERATOR, MAIL, document)
        assert words in str(caught.value)
    assert added.bundles.listing(VIEWER, MAIL) == []


def test_a_bundle_edited_inside_the_database_never_serves(added: Trimtab) -> None:
    champion = crown(added, 5)
    with writing(added.engine) as connection:
        row = tables.bundles.c.sha256 == champion.sha256
        text = champion.to_json().replace('"value":5.0', '"value":7.0')
        connection.execute(update(tables.bundles).where(row).values(document=text))
    with pytest.raises(InvalidBundleError, match="was edited"):
        added.agents.serving(OPERATOR, MAIL)
    assert any("was changed" in problem for problem in added.history.verify(VIEWER).problems)


def test_a_bundle_is_found_by_the_beginning_of_its_hash_or_by_what_it_is(added: Trimtab) -> None:
    champion = crown(added, 5)
    for name in (champion.sha256, champion.sha256[:6], "champion"):
        assert added.bundles.get(VIEWER, name, agent=MAIL) == champion
    with pytest.raises(ConflictError, match="mail has no challenger now"):
        added.bundles.get(VIEWER, "challenger", agent=MAIL)
    for name in ("", champion.sha256[:5], "f" * 64, "%" * 8, "_" * 64, "\0" * 8, "champion"):
        with pytest.raises(NotFoundError, match="does not exist"):
            added.bundles.get(VIEWER, name)


def test_a_bundle_of_another_agent_is_not_found(added: Trimtab) -> None:
    add_agent(added, "other")
    bundle = upload(added, 4, "other")
    with pytest.raises(NotFoundError, match="of agent mail does not exist"):
        added.bundles.get(VIEWER, bundle.sha256, agent=MAIL)


def test_an_ambiguous_beginning_asks_for_more_characters(added: Trimtab) -> None:
    bundle = upload(added, 4)
    with writing(added.engine) as connection:
        copied = {"agent": MAIL, "document": "{}", "method": "rules", "created_by": "x"}
        at = added.context.now()
        connection.execute(
            tables.bundles.insert().values(sha256=bundle.sha256[:10] + "0" * 54, created_at=at, **copied)
        )
    with pytest.raises(ConflictError, match="ambiguous"):
        added.bundles.get(VIEWER, bundle.sha256[:10])
    assert added.bundles.get(VIEWER, bundle.sha256) == bundle


def test_the_difference_of_two_bundles_is_readable(added: Trimtab) -> None:
    first = upload(added, 4)
    assert added.bundles.diff(VIEWER, MAIL, after=first.sha256).champion is None
    champion = crown(added, 5)
    changes = added.bundles.diff(VIEWER, MAIL, after=first.sha256)
    assert changes.champion == champion.sha256
    assert any("links >= 4" in line for line in changes.lines())


def test_rolling_back_goes_any_number_of_champions_back(added: Trimtab) -> None:
    champions = [crown(added, links) for links in (3, 4, 5, 6)]
    pointer = added.bundles.rollback(OPERATOR, MAIL, reason="worse")
    assert (pointer.champion, len(pointer.previous)) == (champions[2].sha256, 2)
    pointer = added.bundles.rollback(OPERATOR, MAIL, steps=2, reason="still worse")
    assert (pointer.champion, pointer.previous) == (champions[0].sha256, ())
    assert added.agents.serving(VIEWER, MAIL)["champion"] == json.loads(champions[0].to_json())
    with pytest.raises(ConflictError, match="mail has 0 earlier champions, not 1"):
        added.bundles.rollback(OPERATOR, MAIL, reason="further")
    with pytest.raises(InvalidInputError, match="at least 1"):
        added.bundles.rollback(OPERATOR, MAIL, steps=0, reason="nowhere")


def test_rolling_back_ends_a_live_rollout_in_the_same_moment(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    first = crown(trimtab, 9)
    crown(trimtab, 5)
    rollout = start_rollout(trimtab, 3)
    pointer = trimtab.bundles.rollback(OPERATOR, MAIL, reason="all of it was wrong")
    assert (pointer.champion, pointer.challenger, pointer.share) == (first.sha256, None, 0.0)
    assert trimtab.rollouts.get(VIEWER, rollout.id).state is RolloutState.ROLLED_BACK
    assert trimtab.history.verify(VIEWER).holds


def test_a_rollback_that_cannot_be_done_leaves_the_rollout_alone(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    with pytest.raises(ConflictError, match="0 earlier champions"):
        trimtab.bundles.rollback(OPERATOR, MAIL, reason="too far")
    assert trimtab.rollouts.get(VIEWER, rollout.id).state is RolloutState.RUNNING


def test_two_rollbacks_at_once_are_two_steps_or_one_refusal(added: Trimtab) -> None:
    champions = [crown(added, links) for links in (3, 4, 5)]
    results = at_once(*(lambda: added.bundles.rollback(OPERATOR, MAIL, reason="worse") for _ in range(3)))
    assert sum(isinstance(one, ConflictError) for one in results) == 1
    assert added.bundles.get(VIEWER, "champion", agent=MAIL) == champions[0]


def test_only_operators_train_and_roll_back(added: Trimtab) -> None:
    with pytest.raises(ForbiddenError):
        added.bundles.train(APPROVER, MAIL)
    with pytest.raises(ForbiddenError):
        added.bundles.rollback(APPROVER, MAIL, reason="mine")
