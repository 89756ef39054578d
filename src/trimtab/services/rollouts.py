"""Rollouts: exposing a challenger step by step, and letting the guard decide on evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from trimtab.core.evidence.ledger import LedgerEntry, LedgerTotal, ledger_total
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.guard import Assessment, GuardDecision, ReasonCode, RolloutEvidence, assess
from trimtab.core.rights import Actor, Right
from trimtab.core.rollouts import EXPOSED_STATES, RolloutAction, RolloutState, next_state
from trimtab.errors import ConflictError, NotFoundError
from trimtab.services import evidence as evidence_service
from trimtab.services.context import Context, check_text, pointer_of, spec_of
from trimtab.services.rollout_moves import (
    PAUSED,
    get_rollout,
    locked_rollout,
    move,
)
from trimtab.store import rollouts as rollout_store
from trimtab.store import settings as settings_store
from trimtab.store.engine import reading, writing
from trimtab.store.rollouts import Rollout

EVERY_ROLLOUT = 1_000_000
_ACTION_OF = {
    GuardDecision.PROMOTE: RolloutAction.PROMOTE,
    GuardDecision.ADVANCE: RolloutAction.ADVANCE,
    GuardDecision.ROLL_BACK: RolloutAction.ROLL_BACK,
    GuardDecision.INCONCLUSIVE: RolloutAction.CONCLUDE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What the guard did to one rollout."""

    rollout: Rollout
    assessment: Assessment | None  # None when the rollout is not exposed yet
    acted: RolloutAction | None  # None: it held


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What an agent's registered rollouts, the oldest first, may get wrong by chance, each and all together."""

    agent: str
    entries: tuple[tuple[Rollout, LedgerEntry], ...]
    total: LedgerTotal


class Rollouts:
    """Challengers on their way to champion. One starts by applying an approved proposal: `Proposals.apply`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, actor: Actor, rollout_id: str) -> Rollout:
        """One rollout. Raises NotFoundError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return get_rollout(connection, rollout_id)

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
            return rollout_store.events(connection, get_rollout(connection, rollout_id).id)

    def ledger(self, actor: Actor, agent: str) -> Ledger:
        """The α that every rollout of an agent registered, whatever became of it: trying often has a price."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            found = rollout_store.listing(connection, agent=agent, limit=EVERY_ROLLOUT)
        entries = tuple(
            (
                one,
                LedgerEntry(
                    rollout=one.id, alpha_promote=one.plan.alpha_promote, alpha_rollback=one.plan.alpha_rollback
                ),
            )
            for one in reversed(found)
        )
        return Ledger(agent=agent, entries=entries, total=ledger_total(entry for _, entry in entries))

    def evidence(self, actor: Actor, rollout_id: str) -> RolloutEvidence:
        """What a rollout has shown so far."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return evidence_service.read(connection, get_rollout(connection, rollout_id))

    def paired_history(self, actor: Actor, rollout_id: str) -> list[tuple[datetime, PairedSummary]]:
        """How a rollout's paired evidence grew, label by label."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return evidence_service.paired_history(connection, get_rollout(connection, rollout_id))

    def assess(self, actor: Actor, rollout_id: str) -> Assessment:
        """What the guard would say now; changes nothing."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return self._assess(connection, get_rollout(connection, rollout_id))

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
            rollout = locked_rollout(connection, rollout_id)
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

    def jump(self, actor: Actor, agent: str, *, step: int, reason: str) -> Rollout:
        """Go to any step below 100 % by a person's decision, forwards or back; its dwell begins anew."""
        return self._act(actor, agent, RolloutAction.JUMP, reason, step=step)

    def abort(self, actor: Actor, agent: str, *, reason: str) -> Rollout:
        """End a rollout without a verdict."""
        return self._act(actor, agent, RolloutAction.ABORT, reason)

    def _act(self, actor: Actor, agent: str, action: RolloutAction, reason: str, *, step: int | None = None) -> Rollout:
        actor.require(Right.ROLL_OUT)
        check_text("reason", reason, needed=True)
        with writing(self._context.engine) as connection:
            rollout = locked_rollout(connection, _newest(connection, agent).id)
            next_state(rollout.state, action)  # refuse before anything is computed
            found = self._assess(connection, rollout) if rollout.state in EXPOSED_STATES else None
            return move(
                connection, self._context, actor, rollout, action, reason=reason, assessment=found, to_step=step
            )


def _with_maximum(found: Assessment, rollout: Rollout, at: datetime) -> dict[str, Any]:
    """The assessment, remembering when the maximum was first noticed."""
    shown = found.to_mapping()
    if any(reason.code is ReasonCode.MAXIMUM_REACHED for reason in found.reasons):
        shown["maximum_since"] = (rollout.assessment or {}).get("maximum_since") or at.isoformat()
    return shown


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
