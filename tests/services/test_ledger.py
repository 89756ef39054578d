from __future__ import annotations

from dataclasses import replace

import pytest
from tests.services.steps import AGENT, MAIL, OPERATOR, QUICK, VIEWER, add_agent, crown, start_rollout

from trimtab.bootstrap import Trimtab
from trimtab.errors import ForbiddenError, NotFoundError


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def test_without_rollouts_nothing_was_spent(served: Trimtab) -> None:
    found = served.rollouts.ledger(VIEWER, MAIL)
    assert found.entries == ()
    assert (found.total.rollouts, found.total.false_promotions, found.total.any_false_promotion) == (0, 0.0, 0.0)


def test_every_registered_rollout_counts_whatever_became_of_it(served: Trimtab) -> None:
    first = start_rollout(served, 3)
    served.rollouts.abort(OPERATOR, MAIL, reason="a mistake")
    strict = replace(QUICK, alpha_promote=0.01)
    second = start_rollout(served, 4, plan=strict)
    found = served.rollouts.ledger(VIEWER, MAIL)
    assert [(one.id, entry.alpha_promote) for one, entry in found.entries] == [(first.id, 0.025), (second.id, 0.01)]
    assert found.total.rollouts == 2
    assert found.total.false_promotions == pytest.approx(0.035)
    assert found.total.false_rollbacks == pytest.approx(0.10)
    assert found.total.any_false_promotion == pytest.approx(0.035)


def test_another_agent_s_rollouts_are_its_own(served: Trimtab) -> None:
    add_agent(served, "other")
    crown(served, 5, "other")
    start_rollout(served, 3, "other")
    assert served.rollouts.ledger(VIEWER, MAIL).total.rollouts == 0
    assert served.rollouts.ledger(VIEWER, "other").total.rollouts == 1


def test_the_ledger_of_an_unknown_agent_or_for_an_agent_s_key_is_refused(served: Trimtab) -> None:
    with pytest.raises(NotFoundError, match="agent 'post'"):
        served.rollouts.ledger(VIEWER, "post")
    with pytest.raises(ForbiddenError):
        served.rollouts.ledger(AGENT, MAIL)
