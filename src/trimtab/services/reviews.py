"""The review queue: which questions people are asked, by whom they are answered, and what the answers do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from trimtab.core.labels import Polarity, Source
from trimtab.core.reviews import ReviewAction, ReviewState, next_state
from trimtab.core.rights import Actor, Right
from trimtab.errors import ConflictError, InvalidInputError, NotFoundError
from trimtab.services import evidence
from trimtab.services.context import Context, audit, check_text, is_id, spec_of
from trimtab.services.review_draws import SamplingReport, draw_questions
from trimtab.store import agents as agent_store
from trimtab.store import events as event_store
from trimtab.store import labels as label_store
from trimtab.store import reviews as review_store
from trimtab.store.engine import reading, writing
from trimtab.store.reviews import ReviewItem

LEASE = timedelta(minutes=15)
FIRST_LOOK_BACK = timedelta(days=7)
MAX_CANDIDATES = 50_000
DISCORDANT_PRIORITY = 2.0  # a live rollout waits for these


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A claimed item with what a reviewer needs to answer it. The served choice and the judges stay hidden."""

    item: ReviewItem
    payload: dict[str, Any]
    labels: tuple[str, ...]


class Reviews:
    """Questions for people."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def sample(
        self, actor: Actor, *, agent: str | None = None, budget: int = 30, discordant_quota: int = 30
    ) -> list[SamplingReport]:
        """Draw questions from the decisions since the last draw, each with a known probability.

        `budget` questions by uncertainty (with an audit slice), and up to `discordant_quota` more while a rollout runs.
        A decision is a candidate of exactly one draw, so that its probability is exactly the one that is stored.
        """
        actor.require(Right.RUN_JOBS)
        if not 0 <= budget <= 10_000 or not 0 <= discordant_quota <= 10_000:
            raise InvalidInputError("budget and discordant quota: whole numbers from 0 to 10,000 are needed")
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            agents = [agent] if agent else [row.agent for row in agent_store.newest_specs(connection)]
        return [draw_questions(self._context, actor, one, budget, discordant_quota) for one in agents]

    def queue(self, actor: Actor, *, agent: str | None = None, limit: int = 50) -> list[ReviewItem]:
        """Open and claimed questions, the most pressing first."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            states = (ReviewState.OPEN, ReviewState.CLAIMED)
            return review_store.queue(connection, agent=agent, states=states, limit=limit)

    def stats(self, actor: Actor, *, agent: str | None = None) -> list[tuple[str, str, int]]:
        """(state, stratum, n) of the queue."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            return review_store.stats(connection, agent=agent)

    def claim(self, actor: Actor, *, agent: str | None = None) -> Question | None:
        """Take the most pressing question until the lease ends; the one already held again; None when all is done."""
        actor.require(Right.REVIEW)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            review_store.lapse_leases(connection, at=at)
            item = review_store.held_by(connection, agent=agent, reviewer=actor.name, at=at)
            if item is None:
                item = review_store.next_open(connection, agent=agent, reviewer=actor.name)
                if item is None:
                    return None
                changes = {"claimed_by": actor.name, "lease_until": at + LEASE}
                item = _move(connection, item, ReviewAction.CLAIM, at, **changes)
            decision = event_store.decision(connection, item.decision_id)
            if decision is None:
                raise NotFoundError(f"decision {item.decision_id} of review item {item.id} does not exist")
            return Question(item=item, payload=decision.payload, labels=spec_of(connection, item.agent).labels)

    def answer(
        self, actor: Actor, item_id: str, label: str, *, confidence: float = 1.0, note: str | None = None
    ) -> ReviewItem:
        """Answer a claimed question: the answer becomes a label, and judges both arms of a live rollout at once.

        Raises ConflictError when somebody else holds it, or when it was answered already.
        """
        actor.require(Right.REVIEW)
        if not 0 < confidence <= 1:
            raise InvalidInputError(f"confidence: a number in (0, 1] is needed, got {confidence}")
        check_text("note", note)
        at = self._context.now()
        try:
            with writing(self._context.engine) as connection:
                item = self._held(connection, item_id, actor, at)
                spec = spec_of(connection, item.agent)
                if label not in spec.labels:
                    raise InvalidInputError(
                        f"label {label[:60]!r} is no label of {item.agent}; it has {', '.join(spec.labels)}"
                    )
                review_id = self._context.new_id()
                review_store.add_review(
                    connection,
                    {
                        "id": review_id,
                        "item_id": item.id,
                        "reviewer": actor.name,
                        "label": label,
                        "confidence": confidence,
                        "note": note,
                        "at": at,
                    },
                )
                _add_label(connection, self._context.new_id(), item, review_id, label, confidence, actor.name, at)
                if item.rollout_id is not None:
                    evidence.fold_answer(
                        connection,
                        item.rollout_id,
                        item.key,
                        label,
                        decision_id=item.decision_id,
                        inclusion=item.inclusion,
                        at=at,
                    )
                given = len(review_store.answers(connection, item.id))
                action = ReviewAction.ANSWER if given >= item.reviewers_wanted else ReviewAction.ANSWER_MORE
                moved = _move(connection, item, action, at, claimed_by=None, lease_until=None)
                details = {"item": item.id, "key": item.key, "label": label}
                audit(connection, actor=actor, at=at, action="review.answer", subject=item.agent, details=details)
                return moved
        except IntegrityError:
            raise ConflictError(f"{actor.name} answered review item {item_id} already") from None

    def skip(self, actor: Actor, item_id: str) -> ReviewItem:
        """Put a claimed question aside that one cannot answer."""
        actor.require(Right.REVIEW)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            item = self._held(connection, item_id, actor, at)
            moved = _move(connection, item, ReviewAction.SKIP, at, claimed_by=None, lease_until=None)
            audit(connection, actor=actor, at=at, action="review.skip", subject=item.agent, details={"item": item.id})
            return moved

    def reopen(self, actor: Actor, item_id: str) -> ReviewItem:
        """Ask a skipped question again."""
        actor.require(Right.REVIEW)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            moved = _move(connection, _get(connection, item_id), ReviewAction.REOPEN, at)
            audit(
                connection, actor=actor, at=at, action="review.reopen", subject=moved.agent, details={"item": item_id}
            )
            return moved

    def lapse(self, actor: Actor) -> int:
        """Open again what was claimed and not answered in time, and close what gold answered; returns how many."""
        actor.require(Right.RUN_JOBS)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            n = review_store.lapse_leases(connection, at=at)
            for row in agent_store.newest_specs(connection):
                n += review_store.expire_answered_elsewhere(connection, row.agent, at=at)
            return n

    def _held(self, connection: Connection, item_id: str, actor: Actor, at: datetime) -> ReviewItem:
        item = _get(connection, item_id)
        if item.state is not ReviewState.CLAIMED:
            next_state(item.state, ReviewAction.ANSWER)
        if item.claimed_by != actor.name:
            raise ConflictError(f"review item {item.id} is held by {item.claimed_by}; claim another one")
        if item.lease_until is not None and item.lease_until < at:
            raise ConflictError(
                f"the lease on review item {item.id} ended at {item.lease_until:%H:%M} UTC; claim it again"
            )
        return item


def _get(connection: Connection, item_id: str) -> ReviewItem:
    item = review_store.get(connection, item_id) if is_id(item_id) else None
    if item is None:
        raise NotFoundError(f"review item {item_id[:64]!r} does not exist; see: trimtab reviews queue")
    return item


def _move(connection: Connection, item: ReviewItem, action: ReviewAction, at: datetime, **changes: Any) -> ReviewItem:
    state = next_state(item.state, action)
    if not review_store.move(connection, item, state, at=at, **changes):
        raise ConflictError(f"review item {item.id} was changed by somebody else just now; claim again")
    return replace(item, state=state, version=item.version + 1, updated_at=at, **changes)


def _add_label(
    connection: Connection,
    label_id: str,
    item: ReviewItem,
    review_id: str,
    label: str,
    confidence: float,
    by: str,
    at: datetime,
) -> None:
    row = {
        "id": label_id,
        "agent": item.agent,
        "key": item.key,
        "decision_id": item.decision_id,
        "payload": None,
        "label": label,
        "polarity": Polarity.POSITIVE.value,
        "source": Source.REVIEW.value,
        "source_id": f"{item.agent}/{review_id}",
        "confidence": confidence,
        "inclusion": item.inclusion,
        "by": by,
        "at": at,
        "created_at": at,
    }
    label_store.append(connection, [row])
