"""A review item: one question queued for people, and the table of its life."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from trimtab.errors import IllegalTransitionError


class ReviewState(StrEnum):
    OPEN = "open"  # waits for a reviewer
    CLAIMED = "claimed"  # somebody has it until the lease ends
    ANSWERED = "answered"  # enough reviewers answered
    SKIPPED = "skipped"  # a reviewer could not tell; may be opened again
    EXPIRED = "expired"  # no longer worth asking: labelled elsewhere, or too old
    ADJUDICATED = "adjudicated"  # reviewers disagreed, somebody decided


class ReviewAction(StrEnum):
    CLAIM = "claim"
    LAPSE = "lapse"
    ANSWER = "answer"
    ANSWER_MORE = "answer_more"
    SKIP = "skip"
    REOPEN = "reopen"
    EXPIRE = "expire"
    ADJUDICATE = "adjudicate"


_S, _A = ReviewState, ReviewAction

TRANSITIONS: Mapping[tuple[ReviewState, ReviewAction], ReviewState] = {
    (_S.OPEN, _A.CLAIM): _S.CLAIMED,
    (_S.OPEN, _A.EXPIRE): _S.EXPIRED,
    (_S.CLAIMED, _A.LAPSE): _S.OPEN,
    (_S.CLAIMED, _A.ANSWER): _S.ANSWERED,
    (_S.CLAIMED, _A.ANSWER_MORE): _S.OPEN,  # answered, but the item wants further reviewers
    (_S.CLAIMED, _A.SKIP): _S.SKIPPED,
    (_S.CLAIMED, _A.EXPIRE): _S.EXPIRED,
    (_S.SKIPPED, _A.REOPEN): _S.OPEN,
    (_S.SKIPPED, _A.EXPIRE): _S.EXPIRED,
    (_S.ANSWERED, _A.ADJUDICATE): _S.ADJUDICATED,
}


def next_state(state: ReviewState, action: ReviewAction) -> ReviewState:
    """The state after `action`. Raises IllegalTransitionError, naming what is possible from `state`."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        possible = sorted(a.value for s, a in TRANSITIONS if s is state)
        way_out = f"possible now: {', '.join(possible)}" if possible else "it is over"
        raise IllegalTransitionError(f"a review item that is {state} cannot {action}: {way_out}")
    return after
