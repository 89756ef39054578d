"""Rollouts: exposing a challenger step by step, and letting the guard decide on evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.guard import Assessment, GuardDecision, ReasonCode, RolloutEvidence, assess
from trimtab.core.rights import SYSTEM, Actor, Right
from trimtab.core.rollouts import EXPOSED_STATES, GuardPlan, RolloutAction, RolloutState, next_state
from trimtab.errors import ConflictError, NotFoundError
from trimtab.services import evidence as evidence_service
from trimtab.services.context import Context, audit, bundle_of, check_text, is_id, pointer_of, spec_of, swap
from trimtab.services.packets import packet_content
from trimtab.store import chains
from trimtab.store import rollouts as rollout_store
from trimtab.store import settings as settings_store
from trimtab.store.engine import reading, writing
from trimtab.store.rollouts import Rollout

PAUSED = "paused"

_ACTION_OF = {
    GuardDecision.PROMOTE: RolloutAction.PROMOTE,
    GuardDecision.ADVANCE: RolloutAction.ADVANCE,
    GuardDecision.ROLL_BACK: RolloutAction.ROLL_BACK,
    GuardDecision.INCONCLUSIVE: RolloutAction.CONCLUDE,
}
# What gives the challenger more keys; a pause refuses these, whoever asks.
_WIDENING = frozenset({RolloutAction.START, RolloutAction.ADVANCE, RolloutAction.JUMP, RolloutAction.PROMOTE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What the guard did to one rollout."""

    rollout: Rollout
    assessment: Assessment | None  # None when the rollout is not exposed yet
    acted: RolloutAction | None  # None: it held


class Rollouts:
    """Challengers on their way to champion."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def start(
        self,
        actor: Actor,
        agent: str,
        challenger: str,
        *,
        plan: GuardPlan | None = None,
        proposal_id: str | None = None,
    ) -> Rollout:
        """Register the plan and expose the challenger at the first step. Raises ConflictError when one is live."""
        actor.require(Right.ROLL_OUT)
        try:
            with writing(self._context.engine) as connection:
                return start_rollout(
                    connection, self._context, actor, agent, challenger, plan=plan, proposal_id=proposal_id
                )
        except IntegrityError:
            raise _already_live(agent) from None

    def get(self, actor: Actor, rollout_id: str) -> Rollout:
        """One rollout. Raises NotFoundError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return _get(connection, rollout_id)

    def live(self, actor: Actor, agent: str) -> Rollout:
        """The agent's live rollout. Raises NotFoundError when there is none."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return _live(connection, agent)

    def listing(
        self, actor: Actor, *, agent: str | None = None, only_live: bool = False, limit: int = 50
    ) -> list[Rollout]:
        """The newest first."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            return rollout_store.listing(connection, agent=agent, only_live=only_live, limit=limit)

    def events(self, actor: Actor, rollout_id: str) -> list[Any]:
        """What happened to a rollout, in order."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return rollout_store.events(connection, _get(connection, rollout_id).id)

    def evidence(self, actor: Actor, rollout_id: str) -> RolloutEvidence:
        """What a rollout has shown so far."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return evidence_service.read(connection, _get(connection, rollout_id))

    def paired_history(self, actor: Actor, rollout_id: str) -> list[tuple[datetime, PairedSummary]]:
        """How a rollout's paired evidence grew, label by label."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return evidence_service.paired_history(connection, _get(connection, rollout_id).id)

    def assess(self, actor: Actor, rollout_id: str) -> Assessment:
        """What the guard would say now; changes nothing."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return self._assess(connection, _get(connection, rollout_id))

    def tick(self, actor: Actor, *, agent: str | None = None) -> list[Tick]:
        """Let the guard look at every live rollout and act. Doing it twice is harmless."""
        actor.require(Right.RUN_JOBS)
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            live = rollout_store.listing(connection, agent=agent, only_live=True, limit=10_000)
        return [self._tick_one(actor, rollout.id) for rollout in live]

    def _tick_one(self, actor: Actor, rollout_id: str) -> Tick:
        at = self._context.now()
        with writing(self._context.engine) as connection:
            rollout = _locked(connection, rollout_id)
            if rollout.state not in EXPOSED_STATES:
                return Tick(rollout=rollout, assessment=None, acted=None)
            found = self._assess(connection, rollout)
            action = _ACTION_OF.get(found.decision)
            if rollout.state is RolloutState.HELD and action is RolloutAction.ADVANCE:
                action = None
            if rollout.state is RolloutState.HELD and action is RolloutAction.PROMOTE:
                action = None  # held by a person: the guard may only end it, never widen it
            if action is None:
                shown = _with_maximum(found, rollout, at)
                rollout_store.note_assessment(connection, rollout.id, shown, at=at)
                return Tick(rollout=rollout, assessment=found, acted=None)
            moved = move(
                connection,
                self._context,
                actor,
                rollout,
                action,
                reason="; ".join(reason.text for reason in found.reasons),
                assessment=found,
            )
            return Tick(rollout=moved, assessment=found, acted=action)

    def _assess(self, connection: Connection, rollout: Rollout) -> Assessment:
        at = self._context.now()
        if rollout.started_at is None or rollout.step_since is None:
            raise ConflictError(f"rollout {rollout.id} has not started; there is nothing to assess")
        pointer = pointer_of(connection, rollout.agent)
        since = (rollout.assessment or {}).get("maximum_since")
        return assess(
            rollout.plan,
            evidence_service.read(connection, rollout),
            step=min(rollout.step, len(rollout.plan.steps) - 2),
            started_at=rollout.started_at,
            step_since=rollout.step_since,
            at=at,
            kill_switch=pointer.kill_switch,
            paused=bool(settings_store.read(connection, PAUSED)),
            maximum_since=datetime.fromisoformat(since) if since else None,
        )

    def promote(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """Make the challenger champion by a person's decision; the packet says that a person decided."""
        return self._act(actor, agent, RolloutAction.PROMOTE, reason)

    def roll_back(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """Let the champion serve everything again."""
        return self._act(actor, agent, RolloutAction.ROLL_BACK, reason)

    def hold(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """Freeze the share; evidence still arrives, and the guard may still roll back."""
        return self._act(actor, agent, RolloutAction.HOLD, reason)

    def resume(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """Let a held rollout go on."""
        return self._act(actor, agent, RolloutAction.RESUME, reason)

    def advance(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """Go to the next step by a person's decision."""
        return self._act(actor, agent, RolloutAction.ADVANCE, reason)

    def abort(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """End a rollout without a verdict."""
        return self._act(actor, agent, RolloutAction.ABORT, reason)

    def _act(self, actor: Actor, agent: str, action: RolloutAction, reason: str) -> Rollout:
        actor.require(Right.ROLL_OUT)
        check_text("reason", reason, needed=True)
        with writing(self._context.engine) as connection:
            rollout = _locked(connection, _newest(connection, agent).id)
            next_state(rollout.state, action)  # refuse before anything is computed
            found = self._assess(connection, rollout) if rollout.state in EXPOSED_STATES else None
            return move(connection, self._context, actor, rollout, action, reason=reason, assessment=found)


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
    registered = plan or GuardPlan.from_mapping(spec.guard)
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


def end_live_rollout(
    connection: Connection, context: Context, actor: Actor, agent: str, action: RolloutAction, *, reason: str
) -> Rollout | None:
    """End whatever rollout is live, inside the caller's transaction; None when there is none."""
    rollout = rollout_store.live(connection, agent)
    if rollout is None:
        return None
    return move(connection, context, actor, _locked(connection, rollout.id), action, reason=reason)


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
) -> Rollout:
    """One transition: state, pointer, event, packet and audit together, or nothing of it."""
    at = context.now()
    state = next_state(rollout.state, action)
    if action in _WIDENING:
        check_not_paused(connection)
    step, share = _exposure(rollout, action, state)
    if action is RolloutAction.ADVANCE and share == 1.0:
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
        packet = chains.append_packet(connection, agent=rollout.agent, rollout_id=rollout.id, at=at, content=content)
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


def _exposure(rollout: Rollout, action: RolloutAction, state: RolloutState) -> tuple[int, float]:
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


def _with_maximum(found: Assessment, rollout: Rollout, at: datetime) -> dict[str, Any]:
    """The assessment, remembering when the maximum was first noticed."""
    shown = found.to_mapping()
    if any(reason.code is ReasonCode.MAXIMUM_REACHED for reason in found.reasons):
        shown["maximum_since"] = (rollout.assessment or {}).get("maximum_since") or at.isoformat()
    return shown


def _already_live(agent: str) -> ConflictError:
    return ConflictError(
        f"{agent} has a live rollout already, and only one at a time can be judged: "
        f"wait for its verdict, or end it with: trimtab rollouts abort {agent}"
    )


def _get(connection: Connection, rollout_id: str) -> Rollout:
    rollout = rollout_store.get(connection, rollout_id) if is_id(rollout_id) else None
    if rollout is None:
        raise NotFoundError(f"rollout {rollout_id[:64]!r} does not exist; list them with: trimtab rollouts list")
    return rollout


def _locked(connection: Connection, rollout_id: str) -> Rollout:
    """The rollout as it is once nobody else can change it."""
    rollout_store.lock(connection, rollout_id)
    return _get(connection, rollout_id)


def _live(connection: Connection, agent: str) -> Rollout:
    spec_of(connection, agent)
    rollout = rollout_store.live(connection, agent)
    if rollout is None:
        raise NotFoundError(f"{agent} has no live rollout; list past ones with: trimtab rollouts list {agent}")
    return rollout


def _newest(connection: Connection, agent: str) -> Rollout:
    """The live rollout, or the newest ended one, so that acting on it says that it is over."""
    spec_of(connection, agent)
    found = rollout_store.live(connection, agent) or next(
        iter(rollout_store.listing(connection, agent=agent, limit=1)), None
    )
    if found is None:
        raise NotFoundError(f"{agent} has no rollout; apply an approved proposal to start one")
    return found
