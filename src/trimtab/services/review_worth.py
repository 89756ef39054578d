"""Was asking people worth it, and is it still? Measured on the uniform audit slice of their answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from trimtab.core.agents import AgentSpec
from trimtab.core.labels import Source, merge_labels
from trimtab.core.reviews import ReviewState, final_label
from trimtab.core.sampling import AskedFor, LiftCurve, StopAdvice, labels_worth_asking, lift_curve
from trimtab.services.review_draws import FIRST_LOOK_BACK, MAX_CANDIDATES, look
from trimtab.store import events as event_store
from trimtab.store import labels as label_store
from trimtab.store import reviews as review_store

WORTH_A_LABEL = 0.05  # a label is asked for while it corrects something at least this often
_SHOWN_DEPTH = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewWorth:
    """What asking by uncertainty found against asking at random, and how many labels still pay.

    `served`: where the served label was wrong; `believed`: where what judges and policy favoured at the draw was.
    Both curves are from the audit slice alone, one answer for each distinct input. `advice` is about the decisions of
    the last `days` days that nobody answered, from all answers, each counting 1/π.
    """

    agent: str
    answered: int
    audited: int
    served: LiftCurve
    believed: LiftCurve
    open_decisions: int
    days: float
    advice: StopAdvice
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    uncertainty: float
    inclusion: float
    audit: bool
    served_wrong: bool | None  # None: nothing was served
    believed_wrong: bool | None  # None: nobody believed anything


def worth_of(
    connection: Connection, spec: AgentSpec, at: datetime, *, span: timedelta = FIRST_LOOK_BACK
) -> ReviewWorth:
    """Read the answers and what is open; changes nothing. Disputed items count once somebody decided them."""
    answered = _answered(connection, spec)
    audit = [one for one in answered if one.audit]
    served = _curve([(one.uncertainty, one.served_wrong) for one in audit])
    believed = _curve([(one.uncertainty, one.believed_wrong) for one in audit])
    pool = _open(connection, spec, at, span)
    known = [one for one in answered if one.served_wrong is not None]
    advice = labels_worth_asking(
        pool,
        [one.uncertainty for one in known],
        [bool(one.served_wrong) for one in known],
        probability=[one.inclusion for one in known],
        worth=WORTH_A_LABEL,
    )
    days = span.total_seconds() / 86_400
    words = (
        _curve_words("the served label was wrong", served),
        _curve_words("what judges or policy favoured was wrong", believed),
        _advice_words(advice, len(pool), days),
    )
    return ReviewWorth(
        agent=spec.agent,
        answered=len(answered),
        audited=len(audit),
        served=served,
        believed=believed,
        open_decisions=len(pool),
        days=days,
        advice=advice,
        words=words,
    )


def _answered(connection: Connection, spec: AgentSpec) -> list[_Answered]:
    by_item: dict[str, list[Any]] = defaultdict(list)
    for row in review_store.closed_answers(connection, spec.agent):
        by_item[row.item_id].append(row)
    gold = merge_labels(label_store.of_agent(connection, spec.agent, sources={Source.GOLD}), possible=spec.labels)
    found = []
    for answers in by_item.values():
        item = answers[0]
        trusted = gold[item.key].label if item.key in gold else None
        right = final_label([one.label for one in answers], adjudicated=item.adjudicated, gold=trusted)
        if right is None:
            continue
        found.append(
            _Answered(
                uncertainty=item.uncertainty,
                inclusion=item.inclusion,
                audit=item.stratum == AskedFor.AUDIT,
                served_wrong=None if item.served is None else item.served != right,
                believed_wrong=None if item.favoured is None else item.favoured != right,
            )
        )
    return found


def _curve(pairs: Sequence[tuple[float, bool | None]]) -> LiftCurve:
    known = [(score, wrong) for score, wrong in pairs if wrong is not None]
    return lift_curve([score for score, _ in known], [wrong for _, wrong in known])


def _open(connection: Connection, spec: AgentSpec, at: datetime, span: timedelta) -> np.ndarray:
    """(n,) uncertainty of recent decisions without an independent answer, queued or not."""
    rows = event_store.review_candidates(connection, spec.agent, since=at - span, until=at, limit=MAX_CANDIDATES)
    states = (ReviewState.OPEN, ReviewState.CLAIMED, ReviewState.SKIPPED)
    queued = review_store.queue(connection, agent=spec.agent, states=states, limit=MAX_CANDIDATES)
    scores = look(connection, spec, rows, at).unsure.score
    return np.concatenate([scores, [item.uncertainty for item in queued]])


def _curve_words(what: str, curve: LiftCurve) -> str:
    if curve.errors == 0:
        seen = f"{curve.n} audited answers" if curve.n else "no audited answer"
        return f"{what}: never in {seen}, so nothing can be said about finding errors"
    found = float(np.interp(_SHOWN_DEPTH, [one.depth for one in curve.points], [one.found for one in curve.points]))
    return (
        f"{what} in {curve.errors} of {curve.n} audited answers: the {_SHOWN_DEPTH:.0%} most uncertain held "
        f"{found:.0%} of them, {found / _SHOWN_DEPTH:.1f} times what random review finds"
    )


def _advice_words(advice: StopAdvice, pool: int, days: float) -> str:
    where = f"{pool:,} decisions of the last {days:g} days have no answer"
    if advice.stop is None:
        return f"{where}; how many are worth asking about is not known: {advice.reason}"
    return f"{where}: {advice.reason}" + ("; asking can stop" if advice.stop else "")
