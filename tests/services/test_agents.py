from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.services.steps import (
    ADMIN,
    AGENT,
    MAIL,
    OPERATOR,
    START,
    VIEWER,
    add_agent,
    at_once,
    crown,
    decided,
    spec,
)

from trimtab.agents import builtin_specs
from trimtab.bootstrap import Trimtab
from trimtab.errors import ForbiddenError, InvalidInputError, InvalidPlanError, NotFoundError


def test_a_new_agent_serves_nothing_yet(trimtab: Trimtab) -> None:
    added = trimtab.agents.add(ADMIN, spec())
    assert (added.version, added.new) == (1, True)
    served = trimtab.agents.serving(AGENT, MAIL)
    assert served["champion"] is None
    assert served["challenger"] is None
    assert served["share"] == 0.0
    assert served["labels"] == ["ham", "spam"]


def test_the_same_spec_again_changes_nothing(trimtab: Trimtab) -> None:
    trimtab.agents.add(ADMIN, spec())
    before = trimtab.agents.serving(AGENT, MAIL)
    again = trimtab.agents.add(ADMIN, spec())
    assert (again.version, again.new) == (1, False)
    assert trimtab.agents.serving(AGENT, MAIL) == before
    assert len(trimtab.history.audit(VIEWER)) == 1


def test_a_changed_spec_is_the_next_version_and_connected_agents_notice(trimtab: Trimtab) -> None:
    trimtab.agents.add(ADMIN, spec())
    before = trimtab.agents.serving(AGENT, MAIL)["version"]
    added = trimtab.agents.add(ADMIN, spec(description="mail of the sales team"))
    assert (added.version, added.new) == (2, True)
    assert trimtab.agents.get(VIEWER, MAIL).description == "mail of the sales team"
    assert trimtab.agents.serving(AGENT, MAIL)["version"] > before


def test_two_people_adding_at_once_get_two_versions(trimtab: Trimtab) -> None:
    results = at_once(*(lambda i=i: trimtab.agents.add(ADMIN, spec(description=str(i))) for i in range(4)))
    assert sorted(one.version for one in results) == [1, 2, 3, 4]


def test_every_built_in_agent_can_be_added_and_read_back(trimtab: Trimtab) -> None:
    for built_in in builtin_specs().values():
        trimtab.agents.add(ADMIN, built_in)
    listed = {one.agent: (one, version, pointer.champion) for one, version, pointer in trimtab.agents.listing(VIEWER)}
    assert listed == {name: (one, 1, None) for name, one in builtin_specs().items()}


def test_an_unknown_agent_is_refused_everywhere_with_those_that_exist(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    asked: list[Callable[[str], object]] = [
        lambda name: trimtab.agents.get(ADMIN, name),
        lambda name: trimtab.agents.serving(ADMIN, name),
        lambda name: trimtab.agents.kill(ADMIN, name, reason="why not"),
        lambda name: trimtab.decisions.recent(ADMIN, name),
        lambda name: trimtab.decisions.daily(ADMIN, name),
        lambda name: trimtab.labels.load(ADMIN, agent=name),
        lambda name: trimtab.labels.stats(ADMIN, agent=name),
        lambda name: trimtab.labels.add_rows(ADMIN, name, [], name="file"),
        lambda name: trimtab.judges.weights(ADMIN, name),
        lambda name: trimtab.judges.update_weights(ADMIN, agent=name),
        lambda name: trimtab.reviews.sample(ADMIN, agent=name),
        lambda name: trimtab.reviews.claim(ADMIN, agent=name),
        lambda name: trimtab.reviews.queue(ADMIN, agent=name),
        lambda name: trimtab.reviews.stats(ADMIN, agent=name),
        lambda name: trimtab.bundles.train(ADMIN, name),
        lambda name: trimtab.bundles.listing(ADMIN, name),
        lambda name: trimtab.bundles.rollback(ADMIN, name, reason="why not"),
        lambda name: trimtab.proposals.create(ADMIN, name, "0" * 64),
        lambda name: trimtab.proposals.listing(ADMIN, agent=name),
        lambda name: trimtab.rollouts.live(ADMIN, name),
        lambda name: trimtab.rollouts.listing(ADMIN, agent=name),
        lambda name: trimtab.rollouts.tick(ADMIN, agent=name),
        lambda name: trimtab.rollouts.promote(ADMIN, name, reason="why not"),
    ]
    for ask in asked:
        for name in ("nobody", "nul\0", "\ud800"):
            with pytest.raises(NotFoundError, match="known are mail"):
                ask(name)


def test_without_any_agent_the_error_says_how_to_add_one(trimtab: Trimtab) -> None:
    with pytest.raises(NotFoundError, match="none yet; add one with: trimtab agents add"):
        trimtab.agents.get(VIEWER, MAIL)


def test_the_guard_plan_of_a_spec_is_checked_when_it_is_added(trimtab: Trimtab) -> None:
    with pytest.raises(InvalidPlanError, match="steps"):
        trimtab.agents.add(ADMIN, replace(spec(), guard={"steps": [0.5]}))


def test_only_an_admin_adds_agents_and_an_agent_reads_only_what_to_serve(trimtab: Trimtab) -> None:
    with pytest.raises(ForbiddenError, match="admin"):
        trimtab.agents.add(OPERATOR, spec())
    add_agent(trimtab)
    assert trimtab.agents.serving(AGENT, MAIL)["agent"] == MAIL
    with pytest.raises(ForbiddenError):
        trimtab.agents.get(AGENT, MAIL)


def test_the_kill_switch_stops_the_policy_until_somebody_revives_it(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    assert trimtab.agents.kill(OPERATOR, MAIL, reason="it answers nonsense").kill_switch
    killed = decided(trimtab, "t-1", 9)
    assert (killed.label, killed.reason) == (None, "FALLBACK")
    trimtab.agents.kill(OPERATOR, MAIL, reason="again")
    assert not trimtab.agents.revive(OPERATOR, MAIL, reason="mended").kill_switch
    assert decided(trimtab, "t-1", 9).label == "spam"
    actions = [event["action"] for event in trimtab.history.audit(VIEWER, subject=MAIL)]
    assert actions[:2] == ["agent.revive", "agent.kill"]  # the second kill changed nothing, so it is no event


def test_a_reason_that_is_no_text_is_refused(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    for reason in ("x" * 4001, "a\0b", "half a character \ud800"):
        with pytest.raises(InvalidInputError, match="reason"):
            trimtab.agents.kill(OPERATOR, MAIL, reason=reason)
    assert not trimtab.agents.serving(AGENT, MAIL)["kill_switch"]


def test_the_etag_of_what_is_served_changes_exactly_when_the_document_does(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    first = trimtab.agents.serving(AGENT, MAIL)["etag"]
    assert trimtab.agents.serving(AGENT, MAIL)["etag"] == first
    crown(trimtab, 5)
    assert trimtab.agents.serving(AGENT, MAIL)["etag"] != first


def test_an_audit_event_says_who_did_what_when_and_as_what(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    event = trimtab.history.audit(VIEWER)[0]
    assert (event["actor"], event["role"], event["action"], event["subject"]) == ("ada", "admin", "agent.add", MAIL)
    assert event["at"] == START.isoformat()
