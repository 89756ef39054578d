"""Evidence packets: everything a verdict rests on, in one chained document."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from trimtab.core.guard import Assessment
from trimtab.core.rights import Actor
from trimtab.core.rollouts import RolloutAction
from trimtab.services import evidence as evidence_service
from trimtab.services.context import pointer_of
from trimtab.store import proposals as proposal_store
from trimtab.store import reliability as reliability_store
from trimtab.store.rollouts import Rollout

SCHEMA = "trimtab.packet/1"


def packet_content(
    connection: Connection,
    rollout: Rollout,
    *,
    action: RolloutAction,
    actor: Actor,
    reason: str,
    assessment: Assessment | None,
) -> dict[str, Any]:
    """The packet of one transition: plan, evidence, verdict, judges and people. All that an auditor needs."""
    proposal = proposal_store.get(connection, rollout.proposal_id) if rollout.proposal_id else None
    pointer = pointer_of(connection, rollout.agent)
    return {
        "schema": SCHEMA,
        "action": action.value,
        "state": rollout.state.value,
        "step": rollout.step,
        "share": rollout.share,
        "actor": actor.name,
        "reason": reason,
        "plan": rollout.plan.to_mapping(),
        "plan_sha256": rollout.plan_sha256,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        # Read back after it was changed: what the agent serves from this moment on.
        "serving": {"champion": pointer.champion, "challenger": pointer.challenger, "share": pointer.share},
        "evidence": evidence_service.read(connection, rollout).to_mapping(),
        "assessment": assessment.to_mapping() if assessment is not None else None,
        "judge_weights": {
            f"{row.judge}@{row.version}": {"weight": row.weight, "n": row.n, "unproven": row.unproven}
            for row in reliability_store.newest(connection, rollout.agent)
        },
        "proposer": proposal.proposer if proposal else None,
        "approver": proposal.decided_by if proposal else None,
    }
