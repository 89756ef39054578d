"""Decisions: taking in what agents send, and explaining what was decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table

from trimtab.core.agents import AgentSpec
from trimtab.core.events import (
    AnyEvent,
    ApprovalEvent,
    DecisionEvent,
    FeedbackEvent,
    OutcomeEvent,
    VerdictEvent,
    check_event,
)
from trimtab.core.policy import Explanation, explain
from trimtab.core.rights import Actor, Right
from trimtab.errors import InvalidInputError, NotFoundError
from trimtab.services import evidence
from trimtab.services.context import Context, bundle_of, is_id, spec_of
from trimtab.store import events as event_store
from trimtab.store import tables
from trimtab.store.engine import lock_name, reading, writing


class ReceiptStatus(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # the same id was stored before; nothing changed
    REJECTED = "rejected"  # the reason says why; nothing of this item was stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one event of a batch."""

    id: str
    status: ReceiptStatus
    reason: str | None = None


_TABLES: Mapping[type, Table] = {
    DecisionEvent: tables.decisions,
    OutcomeEvent: tables.outcomes,
    FeedbackEvent: tables.feedback,
    VerdictEvent: tables.verdicts,
    ApprovalEvent: tables.action_approvals,
}


class Decisions:
    """What agents decided, and what became of it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def ingest(self, actor: Actor, events: Sequence[AnyEvent]) -> list[Receipt]:
        """Store a batch in one transaction: durable when this returns. One bad event never loses the others."""
        actor.require(Right.INGEST)
        with writing(self._context.engine) as connection:
            refused = self._refused(connection, events)
            good = [event for i, event in enumerate(events) if i not in refused]
            for agent in sorted({event.agent for event in good}):
                # A decision and its outcome in two batches at once would miss each other.
                lock_name(connection, f"ingest/{agent}")
            new = _store(connection, good)
        receipts = []
        for i, event in enumerate(events):
            if i in refused:
                receipts.append(Receipt(id=event.id[:64], status=ReceiptStatus.REJECTED, reason=refused[i]))
            elif (type(event), event.id) in new:
                new.discard((type(event), event.id))  # the same id twice in one batch: the second is the duplicate
                receipts.append(Receipt(id=event.id, status=ReceiptStatus.ACCEPTED))
            else:
                receipts.append(Receipt(id=event.id, status=ReceiptStatus.DUPLICATE))
        return receipts

    def _refused(self, connection: Connection, events: Sequence[AnyEvent]) -> dict[int, str]:
        specs: dict[str, AgentSpec | str] = {}
        refused: dict[int, str] = {}
        for i, event in enumerate(events):
            if event.agent not in specs:
                try:
                    specs[event.agent] = spec_of(connection, event.agent)
                except NotFoundError as error:
                    specs[event.agent] = str(error)
            spec = specs[event.agent]
            if isinstance(spec, str):
                refused[i] = spec
                continue
            try:
                check_event(event, spec.labels)
            except InvalidInputError as error:
                refused[i] = str(error)
        return refused

    def get(self, actor: Actor, decision_id: str) -> Any:
        """One decision. Raises NotFoundError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return _decision(connection, decision_id)

    def recent(self, actor: Actor, agent: str, *, limit: int = 50) -> list[Any]:
        """The agent's newest decisions, newest last."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return event_store.decisions_between(connection, agent, limit=limit)

    def between(self, actor: Actor, agent: str, *, since: datetime, until: datetime) -> list[Any]:
        """The agent's decisions of a time span, in order."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return event_store.decisions_between(connection, agent, since=since, until=until)

    def explain(self, actor: Actor, decision_id: str) -> Explanation:
        """Why a decision came out as it did, from the bundle that made it. Raises NotFoundError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            row = _decision(connection, decision_id)
            if row.bundle is None:
                raise NotFoundError(f"decision {decision_id} was not made by a bundle (reason {row.reason})")
            return explain(bundle_of(connection, row.bundle), row.payload, at=row.at)

    def daily(self, actor: Actor, agent: str) -> list[Any]:
        """The agent's figures by day and bundle."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return event_store.daily(connection, agent)


def _decision(connection: Connection, decision_id: str) -> Any:
    row = event_store.decision(connection, decision_id) if is_id(decision_id) else None
    if row is None:
        raise NotFoundError(f"decision {decision_id[:64]!r} does not exist")
    return row


def _store(connection: Connection, events: Iterable[AnyEvent]) -> set[tuple[type, str]]:
    """Store the events that are new; returns their (type, id)."""
    by_type: dict[type, dict[str, AnyEvent]] = defaultdict(dict)
    for event in events:
        by_type[type(event)].setdefault(event.id, event)
    new: set[tuple[type, str]] = set()
    for kind, table in _TABLES.items():  # decisions first, so that what is about them finds them
        if by_type[kind]:
            added = event_store.append(connection, table, [_row(event) for event in by_type[kind].values()])
            new |= {(kind, id) for id in added}
    decisions = [event for event in by_type[DecisionEvent].values() if (DecisionEvent, event.id) in new]
    outcomes = [event for event in by_type[OutcomeEvent].values() if (OutcomeEvent, event.id) in new]
    evidence.fold_decisions(connection, sorted(decisions, key=lambda one: (one.at, one.id)))
    daily: dict[tuple[str, date, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for decision in decisions:
        assert isinstance(decision, DecisionEvent)
        sums = daily[decision.agent, decision.at.astimezone(UTC).date(), decision.bundle or ""]
        sums["decisions"] += 1
        sums["canary"] += decision.arm == "canary"
        sums["discordant"] += decision.discordant
        sums["escalated"] += decision.escalate
    _fold_outcomes(connection, outcomes, [one.id for one in decisions], daily)
    for (agent, day, bundle), sums in sorted(daily.items()):
        event_store.add_daily(connection, agent, day, bundle, sums)
    return new


def _row(event: AnyEvent) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(event, name) for name in event.__struct_fields__}
    if isinstance(event, OutcomeEvent):
        values["counted"] = False
    elif isinstance(event, FeedbackEvent | ApprovalEvent):
        values["loaded"] = False
    return values


def _fold_outcomes(
    connection: Connection,
    outcomes: Sequence[Any],
    new_decisions: Sequence[str],
    daily: dict[tuple[str, date, str], dict[str, float]],
) -> None:
    """Count the outcomes whose decision is known, also those that came before it."""
    waiting = event_store.waiting_outcomes(connection, new_decisions)
    pending = {row.id: row for row in [*outcomes, *waiting]}
    if not pending:
        return
    known = event_store.decisions_by_id(connection, [row.decision_id for row in pending.values()])
    pairs = [
        (row, known[row.decision_id])
        for row in sorted(pending.values(), key=lambda one: (one.at, one.id))
        if row.decision_id in known and known[row.decision_id].agent == row.agent
    ]
    for row, decision in pairs:
        sums = daily[decision.agent, decision.at.astimezone(UTC).date(), decision.bundle or ""]
        sums["outcomes"] += 1
        sums["failures"] += bool(row.failed)
        for name, total, n in (
            ("score", "score_sum", "score_n"),
            ("latency_ms", "latency_ms_sum", "latency_n"),
            ("cost_usd", "cost_usd_sum", "cost_n"),
        ):
            value = getattr(row, name)
            if value is not None:
                sums[total] += value
                sums[n] += 1
    evidence.fold_outcomes(connection, pairs)
    event_store.mark_counted(connection, [row.id for row, _ in pairs])
