"""Rollouts: their state, their events, and their evidence as mergeable summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, insert, select, update

from trimtab.core.rollouts import LIVE_STATES, GuardPlan, RolloutState
from trimtab.store.engine import insert_for, is_sqlite
from trimtab.store.tables import packets, rollout_events, rollout_keys, rollout_summaries, rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The process that exposes a challenger."""

    id: str
    agent: str
    proposal_id: str | None
    champion: str
    challenger: str
    plan: GuardPlan
    plan_sha256: str
    state: RolloutState
    step: int
    share: float
    started_at: datetime | None
    step_since: datetime | None
    ended_at: datetime | None
    assessment: dict[str, Any] | None
    assessed_at: datetime | None
    version: int
    created_at: datetime
    created_by: str

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES


def _rollout(row: Row[Any]) -> Rollout:
    values = dict(row._mapping)
    return Rollout(**{**values, "state": RolloutState(values["state"]), "plan": GuardPlan.from_mapping(values["plan"])})


def add(connection: Connection, rollout: Rollout) -> None:
    values = {name: getattr(rollout, name) for name in Rollout.__slots__}
    connection.execute(insert(rollouts).values({**values, "plan": rollout.plan.to_mapping()}))


def get(connection: Connection, rollout_id: str) -> Rollout | None:
    row = connection.execute(select(rollouts).where(rollouts.c.id == rollout_id)).first()
    return _rollout(row) if row is not None else None


def rows(connection: Connection) -> list[Row[Any]]:
    """Every rollout as it is stored, unread: for the proof that nobody changed one."""
    return list(connection.execute(select(rollouts).order_by(rollouts.c.created_at, rollouts.c.id)))


def events_without_packet(connection: Connection) -> list[Row[Any]]:
    """Events that name a packet which is not there."""
    there = exists().where(packets.c.sha256 == rollout_events.c.packet)
    query = select(rollout_events).where(rollout_events.c.packet.is_not(None), ~there)
    return list(connection.execute(query.order_by(rollout_events.c.rollout_id, rollout_events.c.seq)))


def live(connection: Connection, agent: str) -> Rollout | None:
    """The agent's live rollout: there is at most one."""
    states = [state.value for state in LIVE_STATES]
    row = connection.execute(select(rollouts).where(rollouts.c.agent == agent, rollouts.c.state.in_(states))).first()
    return _rollout(row) if row is not None else None


def listing(
    connection: Connection, *, agent: str | None = None, only_live: bool = False, limit: int = 50
) -> list[Rollout]:
    """The newest first."""
    query = select(rollouts).order_by(rollouts.c.created_at.desc(), rollouts.c.id.desc()).limit(limit)
    if agent is not None:
        query = query.where(rollouts.c.agent == agent)
    if only_live:
        query = query.where(rollouts.c.state.in_([state.value for state in LIVE_STATES]))
    return [_rollout(row) for row in connection.execute(query)]


def move(connection: Connection, old: Rollout, state: RolloutState, **changes: Any) -> bool:
    """Compare-and-swap into `state`: False when somebody was first."""
    result = connection.execute(
        update(rollouts)
        .where(rollouts.c.id == old.id, rollouts.c.version == old.version)
        .values(state=state.value, version=old.version + 1, **changes)
    )
    return result.rowcount == 1


def note_assessment(connection: Connection, rollout_id: str, assessment: Mapping[str, Any], *, at: datetime) -> None:
    """Keep the guard's latest word; no state changes, so the version stays."""
    connection.execute(
        update(rollouts).where(rollouts.c.id == rollout_id).values(assessment=dict(assessment), assessed_at=at)
    )


def add_event(
    connection: Connection,
    rollout: Rollout,
    *,
    at: datetime,
    actor: str,
    action: str,
    to_state: RolloutState,
    step: int,
    share: float,
    details: Mapping[str, Any],
    packet: str | None = None,
) -> None:
    """Append to the rollout's history."""
    c = rollout_events.c
    last = connection.execute(select(func.max(c.seq)).where(c.rollout_id == rollout.id)).scalar()
    connection.execute(
        insert(rollout_events).values(
            rollout_id=rollout.id,
            seq=(last or 0) + 1,
            at=at,
            actor=actor,
            action=action,
            from_state=rollout.state.value,
            to_state=to_state.value,
            step=step,
            share=share,
            details=dict(details),
            packet=packet,
        )
    )


def events(connection: Connection, rollout_id: str) -> list[Row[Any]]:
    query = select(rollout_events).where(rollout_events.c.rollout_id == rollout_id).order_by(rollout_events.c.seq)
    return list(connection.execute(query))


def lock(connection: Connection, rollout_id: str) -> None:
    """Let nobody else change a rollout or its evidence until the transaction ends."""
    if not is_sqlite(connection):
        connection.execute(select(rollouts.c.id).where(rollouts.c.id == rollout_id).with_for_update())


def evidence(connection: Connection, rollout_id: str) -> dict[str, dict[str, Any]]:
    """part -> summary: everything that the guard looks at, however many decisions there were."""
    query = select(rollout_summaries).where(rollout_summaries.c.rollout_id == rollout_id)
    return {row.part: row.summary for row in connection.execute(query)}


def put_evidence(connection: Connection, rollout_id: str, part: str, summary: Mapping[str, Any]) -> None:
    statement = insert_for(connection)(rollout_summaries).values(
        rollout_id=rollout_id, part=part, summary=dict(summary)
    )
    connection.execute(
        statement.on_conflict_do_update(index_elements=["rollout_id", "part"], set_={"summary": dict(summary)})
    )


def meet_keys(
    connection: Connection, rollout_id: str, choices: Mapping[str, tuple[datetime, str | None, str | None]]
) -> set[str]:
    """Record keys with (time, canary's choice, baseline's choice) when first met; returns the keys that are new."""
    statement = (
        insert_for(connection)(rollout_keys)
        .on_conflict_do_nothing(index_elements=["rollout_id", "key"])
        .returning(rollout_keys.c.key)
    )
    rows: list[dict[str, Any]] = [
        {
            "rollout_id": rollout_id,
            "key": key,
            "met_at": at,
            "canary_label": canary,
            "baseline_label": baseline,
            "sums": {},
        }
        for key, (at, canary, baseline) in sorted(choices.items())
    ]
    return set(connection.execute(statement, rows).scalars()) if rows else set()


def key_rows(connection: Connection, rollout_id: str, keys: Sequence[str]) -> dict[str, Row[Any]]:
    """The keys' rows, by key."""
    found: dict[str, Row[Any]] = {}
    names = sorted(set(keys))
    for start in range(0, len(names), 500):
        query = select(rollout_keys).where(
            rollout_keys.c.rollout_id == rollout_id, rollout_keys.c.key.in_(names[start : start + 500])
        )
        found.update({row.key: row for row in connection.execute(query)})
    return found


def put_key_sums(connection: Connection, rollout_id: str, sums: Mapping[str, Mapping[str, Any]]) -> None:
    """Store keys' running sums."""
    c = rollout_keys.c
    statement = (
        update(rollout_keys)
        .where(c.rollout_id == rollout_id, c.key == bindparam("which"))
        .values(sums=bindparam("new_sums", type_=c.sums.type))
    )
    if sums:
        connection.execute(statement, [{"which": key, "new_sums": dict(value)} for key, value in sorted(sums.items())])


def pair_key(connection: Connection, rollout_id: str, key: str, *, x: int, inclusion: float, at: datetime) -> bool:
    """Give a key its single paired number; False when it has one already."""
    c = rollout_keys.c
    result = connection.execute(
        update(rollout_keys)
        .where(c.rollout_id == rollout_id, c.key == key, c.paired.is_(None))
        .values(paired=x, inclusion=inclusion, paired_at=at)
    )
    return result.rowcount == 1


def judge_keys(connection: Connection, rollout_id: str, expected: Mapping[str, float]) -> set[str]:
    """Keep what the judges expect of keys, once each and before their answer; returns the keys that took it."""
    c = rollout_keys.c
    taken = set()
    for key, value in sorted(expected.items()):
        result = connection.execute(
            update(rollout_keys)
            .where(c.rollout_id == rollout_id, c.key == key, c.judged.is_(None), c.paired.is_(None))
            .values(judged=value)
        )
        if result.rowcount == 1:
            taken.add(key)
    return taken


def all_keys(connection: Connection, rollout_id: str) -> list[Row[Any]]:
    """Every key of a rollout in the order in which it was met: for drawing how the evidence grew, not for deciding."""
    c = rollout_keys.c
    query = select(c.key, c.met_at, c.canary_label, c.baseline_label, c.paired_at, c.paired, c.inclusion)
    return list(connection.execute(query.where(c.rollout_id == rollout_id).order_by(c.met_at, c.key)))
