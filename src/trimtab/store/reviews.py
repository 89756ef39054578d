"""The review queue: items, claims by lease, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, select, update

from trimtab.core.reviews import ReviewState
from trimtab.core.sampling import AskedFor
from trimtab.store.engine import insert_for, is_sqlite
from trimtab.store.tables import adjudications, decisions, labels, review_items, reviews


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A question queued for people."""

    id: str
    agent: str
    decision_id: str
    key: str
    state: ReviewState
    stratum: AskedFor
    reasons: tuple[str, ...]
    uncertainty: float
    inclusion: float
    priority: float
    rollout_id: str | None
    reviewers_wanted: int
    claimed_by: str | None
    lease_until: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


def _item(row: Row[Any]) -> ReviewItem:
    values = dict(row._mapping)
    values.pop("favoured")  # what was believed beforehand stays hidden from whoever is asked
    return ReviewItem(
        **{
            **values,
            "state": ReviewState(values["state"]),
            "stratum": AskedFor(values["stratum"]),
            "reasons": tuple(values["reasons"]),
        }
    )


def enqueue(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Queue questions; a key that was ever queued is left alone. Returns the ids of the new ones."""
    if not rows:
        return set()
    statement = (
        insert_for(connection)(review_items)
        .on_conflict_do_nothing(index_elements=["agent", "key"])
        .returning(review_items.c.id)
    )
    return set(connection.execute(statement, list(rows)).scalars())


def get(connection: Connection, item_id: str) -> ReviewItem | None:
    row = connection.execute(select(review_items).where(review_items.c.id == item_id)).first()
    return _item(row) if row is not None else None


def queue(
    connection: Connection,
    *,
    agent: str | None = None,
    states: Sequence[ReviewState] = (ReviewState.OPEN,),
    limit: int = 50,
) -> list[ReviewItem]:
    """Items of the given states, the most pressing first."""
    c = review_items.c
    query = select(review_items).where(c.state.in_([state.value for state in states]))
    if agent is not None:
        query = query.where(c.agent == agent)
    query = query.order_by(c.priority.desc(), c.created_at, c.key).limit(limit)
    return [_item(row) for row in connection.execute(query)]


def next_open(connection: Connection, *, agent: str | None, reviewer: str) -> ReviewItem | None:
    """The most pressing open item that `reviewer` has not answered, locked against other claimers."""
    c = review_items.c
    answered = exists().where(reviews.c.item_id == c.id, reviews.c.reviewer == reviewer)
    query = select(review_items).where(c.state == ReviewState.OPEN.value, ~answered)
    if agent is not None:
        query = query.where(c.agent == agent)
    query = query.order_by(c.priority.desc(), c.created_at, c.key).limit(1)
    if not is_sqlite(connection):
        query = query.with_for_update(skip_locked=True)
    row = connection.execute(query).first()
    return _item(row) if row is not None else None


def held_by(connection: Connection, *, agent: str | None, reviewer: str, at: datetime) -> ReviewItem | None:
    """The item that `reviewer` already holds, so that asking again does not take a second one."""
    c = review_items.c
    query = select(review_items).where(
        c.state == ReviewState.CLAIMED.value, c.claimed_by == reviewer, c.lease_until >= at
    )
    if agent is not None:
        query = query.where(c.agent == agent)
    row = connection.execute(query.order_by(c.lease_until.desc()).limit(1)).first()
    return _item(row) if row is not None else None


def move(connection: Connection, old: ReviewItem, state: ReviewState, *, at: datetime, **changes: Any) -> bool:
    """Compare-and-swap into `state`: False when somebody was first."""
    result = connection.execute(
        update(review_items)
        .where(review_items.c.id == old.id, review_items.c.version == old.version)
        .values(state=state.value, version=old.version + 1, updated_at=at, **changes)
    )
    return result.rowcount == 1


def lapse_leases(connection: Connection, *, at: datetime) -> int:
    """Open again what was claimed and never answered; returns how many."""
    c = review_items.c
    result = connection.execute(
        update(review_items)
        .where(c.state == ReviewState.CLAIMED.value, c.lease_until < at)
        .values(state=ReviewState.OPEN.value, claimed_by=None, lease_until=None, version=c.version + 1, updated_at=at)
    )
    return result.rowcount


def expire_answered_elsewhere(connection: Connection, agent: str, *, at: datetime) -> int:
    """Close open questions whose key got an independent answer another way; returns how many."""
    c = review_items.c
    answered = exists().where(labels.c.agent == agent, labels.c.key == c.key, labels.c.source == "gold")
    result = connection.execute(
        update(review_items)
        .where(c.agent == agent, c.state == ReviewState.OPEN.value, answered)
        .values(state=ReviewState.EXPIRED.value, version=c.version + 1, updated_at=at)
    )
    return result.rowcount


def kept_waiting(connection: Connection, *, since: datetime) -> list[ReviewItem]:
    """Items that nobody holds, first answered before `since`, whose further reviewers did not come."""
    c = review_items.c
    first = (
        select(reviews.c.item_id, func.min(reviews.c.at).label("at"))
        .group_by(reviews.c.item_id)
        .having(func.min(reviews.c.at) < since)
        .subquery()
    )
    query = (
        select(review_items)
        .join(first, first.c.item_id == c.id)
        .where(c.state.in_((ReviewState.OPEN.value, ReviewState.SKIPPED.value)))
        .order_by(c.created_at, c.id)
    )
    return [_item(row) for row in connection.execute(query)]


def disputed(connection: Connection, *, agent: str | None = None, limit: int | None = None) -> list[ReviewItem]:
    """Answered items whose reviewers named different labels and on which nobody has decided; oldest first."""
    c = review_items.c
    split = select(reviews.c.item_id).group_by(reviews.c.item_id).having(func.count(reviews.c.label.distinct()) > 1)
    query = select(review_items).where(c.state == ReviewState.ANSWERED.value, c.id.in_(split))
    if agent is not None:
        query = query.where(c.agent == agent)
    query = query.order_by(c.updated_at, c.key)
    return [_item(row) for row in connection.execute(query if limit is None else query.limit(limit))]


def add_adjudication(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(adjudications).values(dict(values)))


def closed_answers(connection: Connection, agent: str) -> list[Row[Any]]:
    """Every answer to the agent's closed items in the order of time, with its item and what was decided on it.

    `served` is the label of the decision that was asked about, `favoured` what was believed when it was drawn,
    `adjudicated` the label of whoever decided a disagreement: each None where there is none.
    """
    c = review_items.c
    closed = (ReviewState.ANSWERED.value, ReviewState.ADJUDICATED.value, ReviewState.EXPIRED.value)
    query = (
        select(
            reviews.c.item_id,
            reviews.c.reviewer,
            reviews.c.label,
            reviews.c.at,
            c.key,
            c.state,
            c.stratum,
            c.uncertainty,
            c.inclusion,
            c.favoured,
            adjudications.c.label.label("adjudicated"),
            decisions.c.label.label("served"),
        )
        .join(review_items, c.id == reviews.c.item_id)
        .outerjoin(adjudications, adjudications.c.item_id == c.id)
        .outerjoin(decisions, decisions.c.id == c.decision_id)
        .where(c.agent == agent, c.state.in_(closed))
        .order_by(reviews.c.at, reviews.c.id)
    )
    return list(connection.execute(query))


def add_review(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(reviews).values(dict(values)))


def answers(connection: Connection, item_id: str) -> list[Row[Any]]:
    """The answers to an item in the order of time."""
    return list(
        connection.execute(select(reviews).where(reviews.c.item_id == item_id).order_by(reviews.c.at, reviews.c.id))
    )


def stats(connection: Connection, *, agent: str | None = None) -> list[tuple[str, str, int]]:
    """(state, stratum, n) of the queue."""
    c = review_items.c
    query = select(c.state, c.stratum, func.count()).group_by(c.state, c.stratum).order_by(c.state, c.stratum)
    if agent is not None:
        query = query.where(c.agent == agent)
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]
