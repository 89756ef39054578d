"""The review queue: which questions people are asked, by whom they are answered, and what the answers do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from trimtab.core.reviews import ReviewAction, ReviewState, Standing, next_state, standing
from trimtab.core.rights import Actor, Right
from trimtab.errors import ConflictError, InvalidInputError, NotFoundError
from trimtab.services.context import Context, audit, check_text, is_id, spec_of
from trimtab.services.review_answers import Dispute, check_confidence, check_label, decide, disputes, file_answers
from trimtab.services.review_draws import SamplingReport, draw_questions
from trimtab.services.review_worth import ReviewWorth, worth_of
from trimtab.services.reviewers import ReviewerAgreement, agreement_of
from trimtab.store import agents as agent_store
from trimtab.store import events as event_store
from trimtab.store import reviews as review_store
from trimtab.store.engine import reading, writing
from trimtab.store.reviews import ReviewItem

LEASE = timedelta(minutes=15)
MOST_REVIEWERS = 9
PATIENCE = timedelta(days=3)  # how long a given answer waits for further reviewers before it counts without them


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
        self,
        actor: Actor,
        *,
        agent: str | None = None,
        budget: int = 30,
        discordant_quota: int = 30,
        reviewers_wanted: int = 1,
        double_review_share: float = 0.0,
    ) -> list[SamplingReport]:
        """Draw questions from the decisions since the last draw, each with a known probability.

        `budget` questions by uncertainty (with an audit slice), and up to `discordant_quota` more while a rollout runs.
        `reviewers_wanted` people answer each, and at least two a `double_review_share` of them.
        A decision is a candidate of exactly one draw, so that its probability is exactly the one that is stored.
        """
        actor.require(Right.RUN_JOBS)
        if not 0 <= budget <= 10_000 or not 0 <= discordant_quota <= 10_000:
            raise InvalidInputError("budget and discordant quota: whole numbers from 0 to 10,000 are needed")
        if not 1 <= reviewers_wanted <= MOST_REVIEWERS or not 0 <= double_review_share <= 1:
            raise InvalidInputError(f"reviewers wanted: 1 to {MOST_REVIEWERS}; double review share: 0 to 1")
        return [
            draw_questions(
                self._context,
                actor,
                one,
                budget,
                discordant_quota,
                reviewers_wanted=reviewers_wanted,
                double_share=double_review_share,
            )
            for one in self._agents(agent)
        ]

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

    def disputed(self, actor: Actor, *, agent: str | None = None) -> list[Dispute]:
        """Questions whose reviewers disagree and that somebody has to decide, the oldest first."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            return disputes(connection, agent)

    def agreement(self, actor: Actor, *, agent: str | None = None) -> list[ReviewerAgreement]:
        """How far each agent's reviewers agree with each other, and each of them with the answers that stood."""
        actor.require(Right.READ)
        agents = self._agents(agent)
        with reading(self._context.engine) as connection:
            return [agreement_of(connection, spec_of(connection, one)) for one in agents]

    def worth(self, actor: Actor, agent: str) -> ReviewWorth:
        """What asking by uncertainty found against asking at random, and how many labels still pay."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return worth_of(connection, spec_of(connection, agent), self._context.now())

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
                item = move_item(connection, item, ReviewAction.CLAIM, at, **changes)
            decision = event_store.decision(connection, item.decision_id)
            if decision is None:
                raise NotFoundError(f"decision {item.decision_id} of review item {item.id} does not exist")
            return Question(item=item, payload=decision.payload, labels=spec_of(connection, item.agent).labels)

    def answer(
        self, actor: Actor, item_id: str, label: str, *, confidence: float = 1.0, note: str | None = None
    ) -> ReviewItem:
        """Answer a claimed question, once a person.

        When all who were wanted answered alike, each answer becomes a label, and judges both arms of a live rollout at
        once. Until then nobody sees an answer; when they disagree, none becomes a label before somebody adjudicates.
        Raises ConflictError when somebody else holds it, or when it was answered already.
        """
        actor.require(Right.REVIEW)
        check_confidence(confidence)
        check_text("note", note)
        at = self._context.now()
        try:
            with writing(self._context.engine) as connection:
                item = self._held(connection, item_id, actor, at)
                check_label(connection, item, label)
                review_store.add_review(
                    connection,
                    {
                        "id": self._context.new_id(),
                        "item_id": item.id,
                        "reviewer": actor.name,
                        "label": label,
                        "confidence": confidence,
                        "note": note,
                        "at": at,
                    },
                )
                given = review_store.answers(connection, item.id)
                reached = standing([one.label for one in given], item.reviewers_wanted)
                action = ReviewAction.ANSWER_MORE if reached is Standing.WAITING else ReviewAction.ANSWER
                moved = move_item(connection, item, action, at, claimed_by=None, lease_until=None)
                details: dict[str, Any] = {"item": item.id, "key": item.key}
                if reached is Standing.AGREED:
                    file_answers(connection, self._context, item, given, at)
                    details["label"] = label
                elif reached is Standing.DISPUTED:
                    details["disputed"] = {one.reviewer: one.label for one in given}
                audit(connection, actor=actor, at=at, action="review.answer", subject=item.agent, details=details)
                return moved
        except IntegrityError:
            raise ConflictError(f"{actor.name} answered review item {item_id} already") from None

    def adjudicate(self, actor: Actor, item_id: str, label: str, *, reason: str, confidence: float = 1.0) -> ReviewItem:
        """Decide a question on which its reviewers disagree: this answer alone becomes a label and evidence.

        Raises ConflictError when there is no disagreement, or when the actor is one of those who disagree.
        """
        actor.require(Right.LABEL)
        check_confidence(confidence)
        check_text("reason", reason, needed=True)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            item = get_item(connection, item_id)
            next_state(item.state, ReviewAction.ADJUDICATE)
            check_label(connection, item, label)
            said = {one.reviewer: one.label for one in review_store.answers(connection, item.id)}
            if standing(list(said.values()), item.reviewers_wanted) is not Standing.DISPUTED:
                raise ConflictError(f"review item {item.id}: its reviewers agree; there is nothing to adjudicate")
            if actor.name in said:
                raise ConflictError(f"{actor.name} answered review item {item.id}; somebody else has to decide")
            moved = move_item(connection, item, ReviewAction.ADJUDICATE, at)
            decide(connection, self._context, item, label, confidence=confidence, reason=reason, by=actor.name, at=at)
            details = {"item": item.id, "key": item.key, "label": label, "answers": said, "reason": reason}
            audit(connection, actor=actor, at=at, action="review.adjudicate", subject=item.agent, details=details)
            return moved

    def skip(self, actor: Actor, item_id: str) -> ReviewItem:
        """Put a claimed question aside that one cannot answer."""
        actor.require(Right.REVIEW)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            item = self._held(connection, item_id, actor, at)
            moved = move_item(connection, item, ReviewAction.SKIP, at, claimed_by=None, lease_until=None)
            audit(connection, actor=actor, at=at, action="review.skip", subject=item.agent, details={"item": item.id})
            return moved

    def reopen(self, actor: Actor, item_id: str) -> ReviewItem:
        """Ask a skipped question again."""
        actor.require(Right.REVIEW)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            moved = move_item(connection, get_item(connection, item_id), ReviewAction.REOPEN, at)
            audit(
                connection, actor=actor, at=at, action="review.reopen", subject=moved.agent, details={"item": item_id}
            )
            return moved

    def lapse(self, actor: Actor) -> int:
        """Open again what was claimed and not answered in time, and close what gold answered; returns how many.

        An answer that waited three days for further reviewers counts without them: a team of one loses nothing.
        """
        actor.require(Right.RUN_JOBS)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            n = review_store.lapse_leases(connection, at=at)
            for row in agent_store.newest_specs(connection):
                n += review_store.expire_answered_elsewhere(connection, row.agent, at=at)
            for item in review_store.kept_waiting(connection, since=at - PATIENCE):
                self._settle(connection, actor, item, at)
                n += 1
            return n

    def _settle(self, connection: Connection, actor: Actor, item: ReviewItem, at: datetime) -> None:
        given = review_store.answers(connection, item.id)
        reached = standing([one.label for one in given], len(given))
        move_item(connection, item, ReviewAction.SETTLE, at, reviewers_wanted=len(given))
        if reached is Standing.AGREED:
            file_answers(connection, self._context, item, given, at)
        details = {"item": item.id, "key": item.key, "answers": {one.reviewer: one.label for one in given}}
        audit(connection, actor=actor, at=at, action="review.settle", subject=item.agent, details=details)

    def _agents(self, agent: str | None) -> list[str]:
        """The one that was named, or all. Raises NotFoundError."""
        with reading(self._context.engine) as connection:
            if agent is not None:
                return [spec_of(connection, agent).agent]
            return [row.agent for row in agent_store.newest_specs(connection)]

    def _held(self, connection: Connection, item_id: str, actor: Actor, at: datetime) -> ReviewItem:
        item = get_item(connection, item_id)
        if item.state is not ReviewState.CLAIMED:
            next_state(item.state, ReviewAction.ANSWER)
        if item.claimed_by != actor.name:
            raise ConflictError(f"review item {item.id} is held by {item.claimed_by}; claim another one")
        if item.lease_until is not None and item.lease_until < at:
            raise ConflictError(
                f"the lease on review item {item.id} ended at {item.lease_until:%H:%M} UTC; claim it again"
            )
        return item


def get_item(connection: Connection, item_id: str) -> ReviewItem:
    item = review_store.get(connection, item_id) if is_id(item_id) else None
    if item is None:
        raise NotFoundError(f"review item {item_id[:64]!r} does not exist; see: trimtab reviews queue")
    return item


def move_item(
    connection: Connection, item: ReviewItem, action: ReviewAction, at: datetime, **changes: Any
) -> ReviewItem:
    state = next_state(item.state, action)
    if not review_store.move(connection, item, state, at=at, **changes):
        raise ConflictError(f"review item {item.id} was changed by somebody else just now; claim again")
    return replace(item, state=state, version=item.version + 1, updated_at=at, **changes)
