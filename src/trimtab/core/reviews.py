"""A review item: one question queued for people, and the table of its life."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
    SETTLE = "settle"
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
    (_S.OPEN, _A.SETTLE): _S.ANSWERED,  # the further reviewers did not come: the answers that there are count
    (_S.SKIPPED, _A.SETTLE): _S.ANSWERED,
    (_S.ANSWERED, _A.ADJUDICATE): _S.ADJUDICATED,
    (_S.ANSWERED, _A.EXPIRE): _S.EXPIRED,  # disputed, and answered by gold before somebody decided
}


def next_state(state: ReviewState, action: ReviewAction) -> ReviewState:
    """The state after `action`. Raises IllegalTransitionError, naming what is possible from `state`."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        possible = sorted(a.value for s, a in TRANSITIONS if s is state)
        way_out = f"possible now: {', '.join(possible)}" if possible else "it is over"
        raise IllegalTransitionError(f"a review item that is {state} cannot {action}: {way_out}")
    return after


class Standing(StrEnum):
    """What the answers to one item amount to."""

    WAITING = "waiting"  # further reviewers are wanted
    AGREED = "agreed"  # all that were wanted named one label
    DISPUTED = "disputed"  # all that were wanted answered, and not alike: somebody has to decide


def standing(labels: Sequence[str], wanted: int) -> Standing:
    """What `labels`, one answer of each reviewer, amount to when `wanted` reviewers were asked for.

    >>> standing(["spam"], 2).value, standing(["spam", "spam"], 2).value, standing(["spam", "ham"], 2).value
    ('waiting', 'agreed', 'disputed')
    """
    if not labels or len(labels) < wanted:
        return Standing.WAITING
    return Standing.AGREED if len(set(labels)) == 1 else Standing.DISPUTED


def reviewers_for(agent: str, key: str, *, wanted: int, double_share: float) -> int:
    """How many reviewers a key's question gets: `wanted`, and two at least for a share of the keys.

    Which keys are among the `double_share` follows from a hash of the key alone, uniform on [0, 1): a known chance that
    depends neither on the decision nor on anybody's answer, so agreement measured there speaks for all items.
    """
    digest = hashlib.sha256(f"second reviewer\x1f{agent}\x1f{key}".encode()).digest()
    return max(wanted, 2) if int.from_bytes(digest[:8], "big") / 2**64 < double_share else wanted


def final_label(labels: Sequence[str], *, adjudicated: str | None = None, gold: str | None = None) -> str | None:
    """The answer that stands: gold, else the adjudicator's, else what all reviewers named; None while disputed."""
    if gold is not None:
        return gold
    if adjudicated is not None:
        return adjudicated
    return labels[0] if labels and len(set(labels)) == 1 else None
