"""What becomes of answers: labels and evidence once they agree, a dispute for somebody to decide when they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from trimtab.core.labels import Polarity, Source
from trimtab.errors import InvalidInputError
from trimtab.services import evidence
from trimtab.services.context import Context, spec_of
from trimtab.store import events as event_store
from trimtab.store import labels as label_store
from trimtab.store import reviews as review_store
from trimtab.store.reviews import ReviewItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A question whose reviewers disagree: all have answered, so their answers and notes may be read."""

    item: ReviewItem
    payload: dict[str, Any] | None  # None where the decision is not kept any more
    labels: tuple[str, ...]
    answers: tuple[DisputedAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputedAnswer:
    """What one reviewer said."""

    reviewer: str
    label: str
    confidence: float
    note: str | None
    at: datetime


def check_confidence(confidence: float) -> None:
    """Raises InvalidInputError outside (0, 1]."""
    if not 0 < confidence <= 1:
        raise InvalidInputError(f"confidence: a number in (0, 1] is needed, got {confidence}")


def check_label(connection: Connection, item: ReviewItem, label: str) -> None:
    """Raises InvalidInputError naming the labels that there are."""
    labels = spec_of(connection, item.agent).labels
    if label not in labels:
        raise InvalidInputError(f"label {label[:60]!r} is no label of {item.agent}; it has {', '.join(labels)}")


def disputes(connection: Connection, agent: str | None) -> list[Dispute]:
    """Everything that waits for an adjudicator, with what each reviewer said."""
    items = review_store.disputed(connection, agent=agent)
    decisions = event_store.decisions_by_id(connection, [item.decision_id for item in items])
    found = []
    for item in items:
        decision = decisions.get(item.decision_id)
        answers = tuple(
            DisputedAnswer(reviewer=one.reviewer, label=one.label, confidence=one.confidence, note=one.note, at=one.at)
            for one in review_store.answers(connection, item.id)
        )
        payload = decision.payload if decision is not None else None
        labels = spec_of(connection, item.agent).labels
        found.append(Dispute(item=item, payload=payload, labels=labels, answers=answers))
    return found


def file_answers(
    connection: Connection, context: Context, item: ReviewItem, answers: Sequence[Any], at: datetime
) -> None:
    """Make a label of each reviewer's answer, all alike, and let them judge a live rollout's arms once."""
    rows = [
        _label(context, item, one.label, one.confidence, source_id=one.id, by=one.reviewer, said_at=one.at, at=at)
        for one in answers
    ]
    label_store.append(connection, rows)
    evidence.fold_review(connection, item, answers[0].label, at=at)


def decide(
    connection: Connection,
    context: Context,
    item: ReviewItem,
    label: str,
    *,
    confidence: float,
    reason: str,
    by: str,
    at: datetime,
) -> None:
    """Keep an adjudicator's decision; it alone becomes a label and evidence."""
    values = {"item_id": item.id, "label": label, "confidence": confidence, "reason": reason, "by": by, "at": at}
    review_store.add_adjudication(connection, values)
    source_id = f"{item.id}/adjudicated"
    row = _label(context, item, label, confidence, source_id=source_id, by=by, said_at=at, at=at)
    label_store.append(connection, [row])
    evidence.fold_review(connection, item, label, at=at)


def _label(
    context: Context,
    item: ReviewItem,
    label: str,
    confidence: float,
    *,
    source_id: str,
    by: str,
    said_at: datetime,
    at: datetime,
) -> dict[str, Any]:
    return {
        "id": context.new_id(),
        "agent": item.agent,
        "key": item.key,
        "decision_id": item.decision_id,
        "payload": None,
        "label": label,
        "polarity": Polarity.POSITIVE.value,
        "source": Source.REVIEW.value,
        "source_id": f"{item.agent}/{source_id}",
        "confidence": confidence,
        "inclusion": item.inclusion,
        "by": by,
        "at": said_at,
        "created_at": at,
    }
