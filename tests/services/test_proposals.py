from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.services.steps import (
    ADMIN,
    APPROVER,
    MAIL,
    OPERATOR,
    OTHER_APPROVER,
    QUICK,
    REVIEWER,
    VIEWER,
    add_agent,
    approved,
    at_once,
    crown,
    twin,
    upload,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.approvals import ProposalState
from trimtab.core.rights import Actor, Role
from trimtab.core.rollouts import RolloutState
from trimtab.errors import (
    ConflictError,
    ForbiddenError,
    FourEyesError,
    IllegalTransitionError,
    InvalidInputError,
    NotFoundError,
)
from trimtab.store.proposals import Proposal


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def pending(trimtab: Trimtab, links: int = 3, *, by: Actor = OPERATOR) -> Proposal:
    return trimtab.proposals.create(by, MAIL, upload(trimtab, links).sha256)


def actions(trimtab: Trimtab) -> list[str]:
    return [event["action"] for event in trimtab.history.audit(VIEWER, subject=MAIL)]


def test_a_proposal_carries_the_evidence_of_its_moment(served: Trimtab) -> None:
    proposal = pending(served)
    assert proposal.state is ProposalState.PENDING
    assert proposal.champion == served.bundles.get(VIEWER, "champion", agent=MAIL).sha256
    assert any("links >= 3" in line for line in proposal.evidence["diff_lines"])
    assert proposal.evidence["replay"] is None
    assert served.proposals.get(VIEWER, proposal.id) == proposal


def test_from_draft_to_champion_in_the_order_of_the_table(served: Trimtab) -> None:
    bundle = upload(served, 3)
    draft = served.proposals.create(OPERATOR, MAIL, bundle.sha256, note="learned from May", draft=True)
    assert draft.state is ProposalState.DRAFT
    assert served.proposals.propose(OPERATOR, draft.id).state is ProposalState.PENDING
    agreed = served.proposals.approve(APPROVER, draft.id, reason="the flips look right")
    assert (agreed.state, agreed.decided_by) == (ProposalState.APPROVED, "abel")
    applied = served.proposals.apply(OPERATOR, draft.id, without_canary=True)
    assert applied.state is ProposalState.APPLIED
    assert served.proposals.get(VIEWER, draft.id) == applied
    assert served.bundles.get(VIEWER, "champion", agent=MAIL) == bundle
    assert actions(served)[:4] == ["proposal.apply", "proposal.approve", "proposal.propose", "proposal.create"]


def test_the_proposer_may_not_decide_whatever_the_role_or_spelling(served: Trimtab) -> None:
    proposal = pending(served, by=ADMIN)
    for same in (ADMIN, Actor(name="ADA", role=Role.APPROVER), Actor(name=" ada ", role=Role.ADMIN)):
        with pytest.raises(FourEyesError, match="may not decide"):
            served.proposals.approve(same, proposal.id)
        with pytest.raises(FourEyesError):
            served.proposals.reject(same, proposal.id, reason="mine")
    assert served.proposals.get(VIEWER, proposal.id).state is ProposalState.PENDING


def test_an_operator_without_the_right_to_approve_is_refused(served: Trimtab) -> None:
    proposal = pending(served, by=ADMIN)
    with pytest.raises(ForbiddenError, match="may not approve: ask one of these roles: admin, approver"):
        served.proposals.approve(OPERATOR, proposal.id)
    with pytest.raises(ForbiddenError):
        served.proposals.create(REVIEWER, MAIL, "champion")


def test_a_proposal_is_decided_once(served: Trimtab) -> None:
    proposal = pending(served)
    served.proposals.approve(APPROVER, proposal.id)
    with pytest.raises(IllegalTransitionError, match="is approved cannot approve: possible now: apply, withdraw"):
        served.proposals.approve(OTHER_APPROVER, proposal.id)
    with pytest.raises(IllegalTransitionError, match="is approved cannot reject"):
        served.proposals.reject(OTHER_APPROVER, proposal.id, reason="too late")
    assert served.proposals.get(VIEWER, proposal.id).decided_by == "abel"


def test_a_rejected_proposal_cannot_be_applied_and_keeps_its_reason(served: Trimtab) -> None:
    proposal = pending(served)
    rejected = served.proposals.reject(APPROVER, proposal.id, reason="flips a paying customer")
    assert (rejected.state, rejected.reason) == (ProposalState.REJECTED, "flips a paying customer")
    with pytest.raises(IllegalTransitionError, match="it is over; create a new proposal"):
        served.proposals.apply(OPERATOR, proposal.id)


def test_nobody_approves_after_a_withdrawal(served: Trimtab) -> None:
    proposal = pending(served)
    withdrawn = served.proposals.withdraw(OPERATOR, proposal.id, reason="wrong file")
    assert (withdrawn.state, withdrawn.reason) == (ProposalState.WITHDRAWN, "wrong file")
    with pytest.raises(IllegalTransitionError, match="is withdrawn cannot approve"):
        served.proposals.approve(APPROVER, proposal.id)


def test_who_approved_by_mistake_may_take_it_back_before_it_is_applied(served: Trimtab) -> None:
    proposal = approved(served, 3)
    with pytest.raises(ForbiddenError, match="only olga"):
        served.proposals.withdraw(OTHER_APPROVER, proposal.id)
    assert served.proposals.withdraw(APPROVER, proposal.id, reason="the wrong one").state is ProposalState.WITHDRAWN
    with pytest.raises(IllegalTransitionError, match="is withdrawn cannot apply"):
        served.proposals.apply(OPERATOR, proposal.id)
    withdrawal = served.history.audit(VIEWER)[0]
    assert (withdrawal["action"], withdrawal["details"]["reason"]) == ("proposal.withdraw", "the wrong one")


def test_of_two_approvers_at_the_same_instant_one_wins_and_the_other_is_told(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    for links in (2, 3, 4):
        proposal = pending(served, links)
        results = at_once(
            lambda one=proposal: served.proposals.approve(APPROVER, one.id),
            lambda one=proposal: other.proposals.approve(OTHER_APPROVER, one.id),
        )
        (won,) = [one for one in results if isinstance(one, Proposal)]
        (lost,) = [one for one in results if isinstance(one, ConflictError)]
        assert lost.exit_code == 3
        assert served.proposals.get(VIEWER, proposal.id) == won
    other.close()
    assert actions(served).count("proposal.approve") == 4  # with the champion's own


def test_approval_and_rejection_at_once_have_one_outcome(served: Trimtab) -> None:
    proposal = pending(served)
    results = at_once(
        lambda: served.proposals.approve(APPROVER, proposal.id),
        lambda: served.proposals.reject(OTHER_APPROVER, proposal.id, reason="no"),
        lambda: served.proposals.withdraw(OPERATOR, proposal.id),
    )
    final = served.proposals.get(VIEWER, proposal.id).state
    succeeded = [one.state for one in results if isinstance(one, Proposal)]
    # A withdrawal may follow an approval; nothing else may follow anything.
    assert succeeded == [final] or set(succeeded) == {ProposalState.APPROVED, ProposalState.WITHDRAWN}
    assert all(isinstance(one, Proposal | ConflictError) for one in results)


def test_apply_and_withdraw_at_once_never_both_happen(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    for links in (2, 3, 4):
        proposal = approved(served, links)
        results = at_once(
            lambda one=proposal: served.proposals.apply(OPERATOR, one.id, without_canary=True),
            lambda one=proposal: other.proposals.withdraw(APPROVER, one.id),
        )
        assert sorted(type(one).__name__ for one in results) == ["IllegalTransitionError", "Proposal"]
        champion = served.bundles.get(VIEWER, "champion", agent=MAIL).sha256
        applied = served.proposals.get(VIEWER, proposal.id).state is ProposalState.APPLIED
        assert (champion == proposal.bundle) is applied
    other.close()


def test_applying_twice_at_once_starts_one_rollout(served: Trimtab) -> None:
    proposal = approved(served, 3)
    results = at_once(*(lambda: served.proposals.apply(OPERATOR, proposal.id, plan=QUICK) for _ in range(3)))
    assert sum(isinstance(one, Proposal) for one in results) == 1
    assert sum(isinstance(one, ConflictError) for one in results) == 2
    assert len(served.rollouts.listing(VIEWER, agent=MAIL)) == 1


def test_only_an_approved_proposal_is_applied(served: Trimtab) -> None:
    proposal = pending(served)
    with pytest.raises(IllegalTransitionError, match="is pending cannot apply"):
        served.proposals.apply(OPERATOR, proposal.id)
    with pytest.raises(NotFoundError):
        served.rollouts.live(VIEWER, MAIL)


def test_the_first_bundle_serves_at_once_for_want_of_a_champion(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    proposal = approved(trimtab, 5)
    trimtab.proposals.apply(OPERATOR, proposal.id)
    assert trimtab.bundles.get(VIEWER, "champion", agent=MAIL).sha256 == proposal.bundle
    assert trimtab.rollouts.listing(VIEWER, agent=MAIL) == []


def test_with_a_champion_applying_starts_a_rollout_by_the_given_plan(served: Trimtab) -> None:
    proposal = approved(served, 3)
    served.proposals.apply(OPERATOR, proposal.id, plan=QUICK)
    live = served.rollouts.live(VIEWER, MAIL)
    assert (live.state, live.proposal_id, live.plan, live.share) == (RolloutState.RUNNING, proposal.id, QUICK, 0.5)
    assert live.plan_sha256 == QUICK.sha256


def test_evidence_about_a_former_champion_is_stale(served: Trimtab) -> None:
    proposal = approved(served, 3)
    crown(served, 7)
    with pytest.raises(ConflictError, match="champion of mail changed since this was proposed"):
        served.proposals.apply(OPERATOR, proposal.id)
    assert served.proposals.get(VIEWER, proposal.id).state is ProposalState.APPROVED


def test_without_a_canary_nothing_is_applied_beside_a_live_rollout(served: Trimtab) -> None:
    served.proposals.apply(OPERATOR, approved(served, 3).id, plan=QUICK)
    other = approved(served, 4)
    with pytest.raises(ConflictError, match="has a live rollout; end it first"):
        served.proposals.apply(OPERATOR, other.id, without_canary=True)
    with pytest.raises(ConflictError, match="only one at a time can be judged"):
        served.proposals.apply(OPERATOR, other.id)
    assert served.proposals.get(VIEWER, other.id).state is ProposalState.APPROVED


def test_while_the_loop_is_paused_nothing_new_serves(served: Trimtab) -> None:
    proposal = approved(served, 3)
    served.loop.pause(OPERATOR, reason="fire drill")
    for without_canary in (True, False):
        with pytest.raises(ConflictError, match="the loop is paused"):
            served.proposals.apply(OPERATOR, proposal.id, without_canary=without_canary)
    served.loop.resume(OPERATOR, reason="drill over")
    assert served.proposals.apply(OPERATOR, proposal.id, plan=QUICK).state is ProposalState.APPLIED


def test_a_bundle_has_at_most_one_open_proposal(served: Trimtab) -> None:
    proposal = pending(served)
    with pytest.raises(ConflictError, match="has an open proposal already"):
        served.proposals.create(ADMIN, MAIL, proposal.bundle)
    served.proposals.withdraw(OPERATOR, proposal.id)
    assert served.proposals.create(ADMIN, MAIL, proposal.bundle).state is ProposalState.PENDING


def test_the_champion_itself_cannot_be_proposed(served: Trimtab) -> None:
    with pytest.raises(ConflictError, match="is the champion of mail already"):
        served.proposals.create(OPERATOR, MAIL, "champion")


def test_a_proposal_expires_when_nobody_decides(served: Trimtab) -> None:
    late, fresh = pending(served, 3), replace(pending(served, 4))
    agreed = approved(served, 2)
    wait(served, timedelta(days=31))
    newer = pending(served, 6)
    with pytest.raises(ConflictError, match="expired on 2025-04-02; propose again"):
        served.proposals.approve(APPROVER, late.id)
    assert served.proposals.expire(OPERATOR) == 2
    assert served.proposals.expire(OPERATOR) == 0
    states = {one.id: one.state for one in served.proposals.listing(VIEWER, agent=MAIL)}
    assert states[late.id] is states[fresh.id] is ProposalState.EXPIRED
    assert states[agreed.id] is ProposalState.APPROVED
    assert [one.id for one in served.proposals.listing(VIEWER, only_open=True)] == [newer.id, agreed.id]


def test_unknown_proposals_and_unspeakable_words_are_refused(served: Trimtab) -> None:
    for name in ("first", "00000000-0000-7000-8000-000000000000", "\0"):
        with pytest.raises(NotFoundError, match="list them with: trimtab proposals list"):
            served.proposals.approve(APPROVER, name)
    proposal = pending(served)
    with pytest.raises(InvalidInputError, match="reason: at most 4000"):
        served.proposals.reject(APPROVER, proposal.id, reason="x" * 4001)
    with pytest.raises(InvalidInputError, match="note: has a character"):
        served.proposals.create(OPERATOR, MAIL, upload(served, 2).sha256, note="\0")
