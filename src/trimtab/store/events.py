"""Decisions and what became of them: appended in batches, each id once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, select, update

from trimtab.store.engine import insert_for
from trimtab.store.tables import decisions, labels, metrics_daily, outcomes, review_items, verdicts

_CHUNK = 500


def _chunks(items: Sequence[Any], size: int = _CHUNK) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def append(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Append the rows whose ids are new; returns those ids."""
    if not rows:
        return set()
    statement = insert_for(connection)(table).on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)
    # In one order for everybody: two batches that share ids wait for each other instead of blocking each other.
    return set(connection.execute(statement, sorted(rows, key=lambda row: str(row["id"]))).scalars())


def decision(connection: Connection, decision_id: str) -> Row[Any] | None:
    return connection.execute(select(decisions).where(decisions.c.id == decision_id)).first()


def decisions_by_id(connection: Connection, ids: Iterable[str]) -> dict[str, Row[Any]]:
    """The known ones among `ids`."""
    found: dict[str, Row[Any]] = {}
    for chunk in _chunks(sorted(set(ids))):
        for row in connection.execute(select(decisions).where(decisions.c.id.in_(chunk))):
            found[row.id] = row
    return found


def decisions_between(
    connection: Connection,
    agent: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[Row[Any]]:
    """An agent's decisions in the order of time (newest ones when limited)."""
    query = select(decisions).where(decisions.c.agent == agent)
    if since is not None:
        query = query.where(decisions.c.at >= since)
    if until is not None:
        query = query.where(decisions.c.at < until)
    if limit is not None:
        newest = list(connection.execute(query.order_by(decisions.c.at.desc(), decisions.c.id.desc()).limit(limit)))
        return newest[::-1]
    return list(connection.execute(query.order_by(decisions.c.at, decisions.c.id)))


def decision_batches(
    connection: Connection, agent: str, *, since: datetime | None, until: datetime | None, size: int
) -> Iterator[Sequence[Row[Any]]]:
    """An agent's decisions in the order of time, streamed in batches: memory stays flat."""
    query = select(decisions).where(decisions.c.agent == agent).order_by(decisions.c.at, decisions.c.id)
    if since is not None:
        query = query.where(decisions.c.at >= since)
    if until is not None:
        query = query.where(decisions.c.at < until)
    with connection.execute(query, execution_options={"yield_per": size}) as rows:
        yield from rows.partitions()


def newest_outcome_values(connection: Connection, agent: str, bundle: str, what: str, *, limit: int) -> list[float]:
    """The newest reported values of an outcome column ("latency_ms", "cost_usd") for decisions of one bundle."""
    column = outcomes.c[what]
    query = (
        select(column)
        .join(decisions, decisions.c.id == outcomes.c.decision_id)
        .where(outcomes.c.agent == agent, decisions.c.bundle == bundle, column.is_not(None))
        .order_by(outcomes.c.at.desc())
        .limit(limit)
    )
    return [float(value) for value in connection.execute(query).scalars()]


def mean_costs(
    connection: Connection, agent: str, *, since: datetime | None, until: datetime | None
) -> dict[str, float]:
    """The mean cost in USD of decisions by served label; labels without a reported cost are left out."""
    query = (
        select(decisions.c.label, func.avg(outcomes.c.cost_usd))
        .join(outcomes, outcomes.c.decision_id == decisions.c.id)
        .where(decisions.c.agent == agent, outcomes.c.agent == agent, outcomes.c.cost_usd.is_not(None))
        .group_by(decisions.c.label)
    )
    if since is not None:
        query = query.where(decisions.c.at >= since)
    if until is not None:
        query = query.where(decisions.c.at < until)
    return {row[0]: float(row[1]) for row in connection.execute(query) if row[0] is not None}


def review_candidates(
    connection: Connection, agent: str, *, since: datetime, until: datetime, limit: int
) -> list[Row[Any]]:
    """Decisions that people may be asked about: recent, their key neither labelled independently nor queued before.

    The newest decision of each key, ordered by key so that a draw does not depend on ids.
    """
    newest = (
        select(decisions.c.key, func.max(decisions.c.at).label("at"))
        .where(decisions.c.agent == agent, decisions.c.at >= since, decisions.c.at < until)
        .group_by(decisions.c.key)
        .subquery()
    )
    labelled = decisions.c.key.in_(
        select(labels.c.key).where(labels.c.agent == agent, labels.c.source.in_(("gold", "review")))
    )
    queued = decisions.c.key.in_(select(review_items.c.key).where(review_items.c.agent == agent))
    query = (
        select(decisions)
        .join(newest, and_(decisions.c.key == newest.c.key, decisions.c.at == newest.c.at))
        .where(decisions.c.agent == agent, ~labelled, ~queued)
        .order_by(decisions.c.key, decisions.c.id)
        .limit(limit)
    )
    rows: dict[str, Row[Any]] = {}
    for row in connection.execute(query):
        rows[row.key] = row
    return list(rows.values())


def waiting_outcomes(connection: Connection, decision_ids: Sequence[str]) -> list[Row[Any]]:
    """Outcomes that came before their decision."""
    found: list[Row[Any]] = []
    for chunk in _chunks(sorted(decision_ids)):
        query = select(outcomes).where(outcomes.c.decision_id.in_(chunk), outcomes.c.counted.is_(False))
        found.extend(connection.execute(query.order_by(outcomes.c.at, outcomes.c.id)))
    return found


def mark_counted(connection: Connection, outcome_ids: Sequence[str]) -> None:
    for chunk in _chunks(sorted(outcome_ids)):
        connection.execute(update(outcomes).where(outcomes.c.id.in_(chunk)).values(counted=True))


def verdicts_of(connection: Connection, decision_ids: Iterable[str]) -> list[Row[Any]]:
    """All verdicts on the given decisions."""
    found: list[Row[Any]] = []
    for chunk in _chunks(sorted(set(decision_ids))):
        query = select(verdicts).where(verdicts.c.decision_id.in_(chunk))
        found.extend(connection.execute(query.order_by(verdicts.c.decision_id, verdicts.c.judge, verdicts.c.at)))
    return found


def answered_verdicts(connection: Connection, agent: str, *, since: datetime, until: datetime) -> list[Row[Any]]:
    """Every recent verdict on a key that has an independent human answer (gold or review), with that key."""
    answered = select(labels.c.key).where(labels.c.agent == agent, labels.c.source.in_(("gold", "review"))).distinct()
    query = (
        select(verdicts, decisions.c.key)
        .join(decisions, decisions.c.id == verdicts.c.decision_id)
        .where(
            verdicts.c.agent == agent,
            verdicts.c.at >= since,
            verdicts.c.at <= until,
            decisions.c.agent == agent,
            decisions.c.key.in_(answered),
        )
        .order_by(verdicts.c.at, verdicts.c.id)
    )
    return list(connection.execute(query))


def judges_of(connection: Connection, agent: str, *, since: datetime) -> list[tuple[str, str, datetime, int]]:
    """(judge, version, newest verdict, verdicts) of everybody who judged since."""
    query = (
        select(verdicts.c.judge, verdicts.c.version, func.max(verdicts.c.at), func.count())
        .where(verdicts.c.agent == agent, verdicts.c.at >= since)
        .group_by(verdicts.c.judge, verdicts.c.version)
        .order_by(verdicts.c.judge, verdicts.c.version)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


_SUMS = (
    "decisions",
    "canary",
    "discordant",
    "escalated",
    "outcomes",
    "failures",
    "score_sum",
    "score_n",
    "latency_ms_sum",
    "latency_n",
    "cost_usd_sum",
    "cost_n",
)


def add_daily(connection: Connection, agent: str, day: date, bundle: str, sums: Mapping[str, float]) -> None:
    """Add to the day's figures of a bundle."""
    values = {name: sums.get(name, 0) for name in _SUMS}
    statement = insert_for(connection)(metrics_daily).values(agent=agent, day=day, bundle=bundle, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["agent", "day", "bundle"],
            set_={name: metrics_daily.c[name] + statement.excluded[name] for name in _SUMS},
        )
    )


def daily(connection: Connection, agent: str) -> list[Row[Any]]:
    """The agent's figures by day and bundle."""
    query = select(metrics_daily).where(metrics_daily.c.agent == agent)
    return list(connection.execute(query.order_by(metrics_daily.c.day, metrics_daily.c.bundle)))


def count_decisions(connection: Connection, agent: str) -> int:
    """All decisions of an agent, from the daily figures."""
    query = select(func.coalesce(func.sum(metrics_daily.c.decisions), 0)).where(metrics_daily.c.agent == agent)
    return int(connection.execute(query).scalar_one())
