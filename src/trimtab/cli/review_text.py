"""What reviewers did, as text: disputes, agreement, and what asking was worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from trimtab.cli.plain import between, number, percent, when

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.core.sampling import LiftCurve
    from trimtab.services.review_answers import Dispute
    from trimtab.services.review_worth import ReviewWorth
    from trimtab.services.reviewers import ReviewerAgreement


def show_disputes(out: Output, found: Sequence[Dispute]) -> None:
    """Each disputed question with what its reviewers said."""
    out.table(
        ("agent", "key", "answers", "notes", "since", "id"),
        [
            (
                one.item.agent,
                one.item.key,
                ", ".join(f"{answer.reviewer}: {answer.label}" for answer in one.answers),
                "; ".join(answer.note for answer in one.answers if answer.note) or "–",
                when(one.item.updated_at),
                one.item.id,
            )
            for one in found
        ],
        empty="no disagreement waits for a decision",
    )
    if found:
        out.hint("decide: trimtab reviews adjudicate ITEM LABEL --reason TEXT (not one of those who disagree)")


def show_agreement(out: Output, found: Iterable[ReviewerAgreement]) -> None:
    """How far reviewers agree, per agent and per person."""
    found = list(found)
    out.heading("do reviewers agree? (questions that two people or more answered blind)")
    out.table(
        ("agent", "Krippendorff's alpha", "questions", "disagreed", "undecided"),
        [(one.agent, number(one.alpha), one.n, one.disagreed, one.disputed) for one in found],
        empty="no agents yet",
    )
    rows = [
        (
            one.agent,
            person.reviewer,
            person.answers,
            percent(person.agreement) if person.agreement is not None else "nothing compared",
            between(person.interval),
            number(person.kappa),
            person.n,
        )
        for one in found
        for person in one.reviewers
    ]
    if rows:
        out.heading("each reviewer against the answer that stood")
        out.table(("agent", "reviewer", "answers", "agreement", "interval", "kappa", "compared"), rows)


def show_worth(out: Output, found: ReviewWorth) -> None:
    """The findings in words, then the curves."""
    out.line(f"{found.agent}: {found.answered:,} answers, {found.audited:,} of them from the audit slice", "bold")
    for words in found.words:
        out.line(f"  {words}")
    _show_curve(out, "errors of the served label found by reviewing the most uncertain first", found.served)
    _show_curve(out, "errors of what was believed found by reviewing the most uncertain first", found.believed)


def _show_curve(out: Output, title: str, curve: LiftCurve) -> None:
    points = [point for point in curve.points if round(point.depth * 10, 6) % 1 == 0]
    if not points:
        return
    out.heading(title)
    out.table(
        ("reviewed", "found", "interval", "random finds"),
        [(percent(one.depth), percent(one.found), between(one.interval, 2), percent(one.depth)) for one in points],
    )
