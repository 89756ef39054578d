"""What moves a rollout: state, pointer, event, packet and audit together, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from trimtab.core.guard import Assessment
from trimtab.core.rights import SYSTEM, Actor
from trimtab.core.rollouts import EXPOSED_STATES, GuardPlan, Metric, RolloutAction, RolloutState, next_state
from trimtab.errors import ConflictError, InsufficientDataError, InvalidInputError, NotFoundError
from trimtab.services.context import Context, audit, bundle_of, is_id, pointer_of, spec_of, swap
from trimtab.services.packets import packet_content
from trimtab.services.signing import register_key
from trimtab.store import chains
from trimtab.store import events as event_store
from trimtab.store import rollouts as rollout_store
from trimtab.store import settings as settings_store
from trimtab.store.rollouts import Rollout

PAUSED = "paused"
LEAST_BASELINE = 1_000
MOST_BASELINE = 10_000


def start_rollout(
    connection: Connection,
    context: Context,
    actor: Actor,
    agent: str,
    challenger: str,
    *,
    plan: GuardPlan | None,
    proposal_id: str | None,
) -> Rollout:
    """Register and start, inside the caller's transaction. The unique index refuses a second live rollout."""
    spec = spec_of(connection, agent)
    pointer = pointer_of(connection, agent, lock=True)
    bundle = bundle_of(connection, challenger, agent=agent)
    if pointer.champion is None:
        raise ConflictError(f"{agent} has no champion to compare with; apply the proposal without a canary")
    if pointer.champion == bundle.sha256:
        raise ConflictError(f"bundle {bundle.sha256[:12]} is the champion of {agent} already")
    if rollout_store.live(connection, agent) is not None:
        raise _already_live(agent)
    at = context.now()
    registered = _frozen(connection, plan or GuardPlan.from_mapping(spec.guard), agent, pointer.champion)
    rollout = Rollout(
        id=context.new_id(),
        agent=agent,
        proposal_id=proposal_id,
        champion=pointer.champion,
        challenger=bundle.sha256,
        plan=registered,
        plan_sha256=registered.sha256,
        state=RolloutState.PLANNED,
        step=0,
        share=0.0,
        started_at=None,
        step_since=None,
        ended_at=None,
        assessment=None,
        assessed_at=None,
        version=1,
        created_at=at,
        created_by=actor.name,
    )
    rollout_store.add(connection, rollout)
    return move(connection, context, actor, rollout, RolloutAction.START, reason="plan registered")


def _frozen(connection: Connection, plan: GuardPlan, agent: str, champion: str) -> GuardPlan:
    """The plan with the thresholds that latency and cost are measured against, read off the champion's outcomes.

    They are fixed before the first canary decision and registered with the plan. Raises InsufficientDataError where a
    metric cannot be measured without them.
    """
    if Metric.LATENCY in plan.metrics and plan.latency_p50_ms is None:
        values = event_store.newest_outcome_values(connection, agent, champion, "latency_ms", limit=MOST_BASELINE)
        if len(values) >= LEAST_BASELINE:  # with fewer, only the mean of log latency is guarded
            p50, p95 = (float(v) for v in np.quantile(values, (0.5, 0.95)))
            plan = replace(plan, latency_p50_ms=p50, latency_p95_ms=p95)
    if Metric.COST in plan.metrics and plan.cost_p99_usd is None:
        values = event_store.newest_outcome_values(connection, agent, champion, "cost_usd", limit=MOST_BASELINE)
        if len(values) < LEAST_BASELINE or not (p99 := float(np.quantile(values, 0.99))) > 0:
            raise InsufficientDataError(
                f"the plan guards cost, which needs {LEAST_BASELINE} outcomes of the champion with a cost above 0 to "
                f"measure against; there are {len(values)}: report cost_usd, or leave cost out of the plan's metrics"
            )
        plan = replace(plan, cost_p99_usd=p99)
    return plan


def end_live_rollout(
    connection: Connection, context: Context, actor: Actor, agent: str, action: RolloutAction, *, reason: str
) -> Rollout | None:
    """End whatever rollout is live, inside the caller's transaction; None when there is none."""
    rollout = rollout_store.live(connection, spec_of(connection, agent).agent)
    if rollout is None:
        return None
    return move(connection, context, actor, locked_rollout(connection, rollout.id), action, reason=reason)


def check_not_paused(connection: Connection) -> None:
    """Raises ConflictError while the loop is paused: nothing new reaches more keys until it turns again."""
    if settings_store.read(connection, PAUSED):
        raise ConflictError("the loop is paused, so no challenger may reach more keys; resume the loop first")


def move(
    connection: Connection,
    context: Context,
    actor: Actor,
    rollout: Rollout,
    action: RolloutAction,
    *,
    reason: str,
    assessment: Assessment | None = None,
    to_step: int | None = None,
) -> Rollout:
    """One transition: state, pointer, event, packet and audit together, or nothing of it. `to_step`: of a jump."""
    at = context.now()
    state = next_state(rollout.state, action)
    step, share = _exposure(rollout, action, state, to_step)
    if share > rollout.share:
        check_not_paused(connection)  # whoever asks: a pause lets the challenger have no more keys
    if action in (RolloutAction.ADVANCE, RolloutAction.JUMP) and share == 1.0:
        raise ConflictError(f"step {step} serves everybody: that is a promotion; promote instead")
    changes: dict[str, Any] = {"step": step, "share": share}
    if action in (RolloutAction.START, RolloutAction.ADVANCE, RolloutAction.JUMP):
        changes["step_since"] = at
    if action is RolloutAction.START:
        changes["started_at"] = at
    if state not in EXPOSED_STATES:
        changes["ended_at"] = at
    if assessment is not None:
        changes |= {"assessment": assessment.to_mapping(), "assessed_at": at}
    if not rollout_store.move(connection, rollout, state, **changes):
        raise ConflictError(f"rollout {rollout.id} was changed by somebody else just now; look again and repeat")
    moved = replace(rollout, state=state, version=rollout.version + 1, **changes)
    _move_pointer(connection, moved, action, at)
    packet = None
    if action not in (RolloutAction.HOLD, RolloutAction.RESUME):
        content = packet_content(connection, moved, action=action, actor=actor, reason=reason, assessment=assessment)
        register_key(connection, context.signer, actor, at)
        packet = chains.append_packet(
            connection,
            agent=rollout.agent,
            rollout_id=rollout.id,
            at=at,
            content=content,
            key_id=context.signer.key_id,
            sign=context.signer.sign,
        )
    rollout_store.add_event(
        connection,
        rollout,
        at=at,
        actor=actor.name,
        action=action.value,
        to_state=state,
        step=step,
        share=share,
        details={"reason": reason, "by_guard": assessment is not None and actor.name == SYSTEM.name},
        packet=packet,
    )
    details: Mapping[str, Any] = {
        "rollout": rollout.id,
        "state": state.value,
        "step": step,
        "share": share,
        "reason": reason,
        "packet": packet,
    }
    audit(connection, actor=actor, at=at, action=f"rollout.{action}", subject=rollout.agent, details=details)
    return moved


def _exposure(rollout: Rollout, action: RolloutAction, state: RolloutState, to_step: int | None) -> tuple[int, float]:
    if action is RolloutAction.JUMP:
        if to_step is None:
            raise InvalidInputError("step: say which step to jump to")
        return to_step, rollout.plan.share(to_step)
    if action is RolloutAction.START:
        return 0, rollout.plan.share(0)
    if action is RolloutAction.ADVANCE:
        return rollout.step + 1, rollout.plan.share(rollout.step + 1)
    if state is RolloutState.PROMOTED:
        return len(rollout.plan.steps) - 1, 1.0
    return (rollout.step, rollout.share) if state in EXPOSED_STATES else (rollout.step, 0.0)


def _move_pointer(connection: Connection, rollout: Rollout, action: RolloutAction, at: datetime) -> None:
    pointer = pointer_of(connection, rollout.agent, lock=True)
    if rollout.state in EXPOSED_STATES:
        swap(
            connection,
            pointer,
            at=at,
            challenger=rollout.challenger,
            rollout_id=rollout.id,
            step=rollout.step,
            share=rollout.share,
            # A new salt for each rollout: the same keys must not be everybody's canaries for ever.
            salt=f"{rollout.agent}/{rollout.id}",
        )
        return
    changes: dict[str, Any] = {"challenger": None, "rollout_id": None, "step": None, "share": 0.0}
    if action is RolloutAction.PROMOTE:
        changes["champion"] = rollout.challenger
        changes["previous"] = (*pointer.previous, rollout.champion)
    swap(connection, pointer, at=at, **changes)


def _already_live(agent: str) -> ConflictError:
    return ConflictError(
        f"{agent} has a live rollout already, and only one at a time can be judged: "
        f"wait for its verdict, or end it with: trimtab rollouts abort {agent}"
    )


def get_rollout(connection: Connection, rollout_id: str) -> Rollout:
    rollout = rollout_store.get(connection, rollout_id) if is_id(rollout_id) else None
    if rollout is None:
        raise NotFoundError(f"rollout {rollout_id[:64]!r} does not exist; list them with: trimtab rollouts list")
    return rollout


def locked_rollout(connection: Connection, rollout_id: str) -> Rollout:
    """The rollout as it is once nobody else can change it."""
    rollout_store.lock(connection, rollout_id)
    return get_rollout(connection, rollout_id)
