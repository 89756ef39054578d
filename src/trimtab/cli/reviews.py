"""trimtab reviews: the questions that people are asked, and answering them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.names import full_id
from trimtab.cli.plain import number, when
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.bootstrap import Trimtab
    from trimtab.cli.output import Output
    from trimtab.core.rights import Actor
    from trimtab.services.reviews import Question

reviews = group("The questions that people are asked, and answering them.")

OfAgent = Annotated[str | None, typer.Option("--agent", metavar="AGENT", help="Of this agent only.")]
Item = Annotated[str, typer.Argument(metavar="ITEM", help="The question's id, or at least 8 characters of it.")]


@command(reviews, "sample")
def sample(
    session: Session,
    agent: OfAgent = None,
    budget: Annotated[
        int | None, typer.Option("--budget", min=0, help="Questions by uncertainty (TRIMTAB_REVIEW_BUDGET).")
    ] = None,
    discordant_quota: Annotated[
        int | None,
        typer.Option(
            "--discordant-quota", min=0, help="More where a rollout's arms differ (TRIMTAB_DISCORDANT_QUOTA)."
        ),
    ] = None,
) -> None:
    """Draw questions from the decisions since the last draw, each with a known probability."""
    settings = session.settings()
    with session.open() as (trimtab, actor):
        found = trimtab.reviews.sample(
            actor,
            agent=agent,
            budget=settings.review_budget if budget is None else budget,
            discordant_quota=settings.discordant_quota if discordant_quota is None else discordant_quota,
            reviewers_wanted=settings.reviewers_wanted,
            double_review_share=settings.double_review_share,
        )

    def render(out: Output) -> None:
        out.table(
            ("agent", "decisions looked at", "questions", "by stratum"),
            [
                (o.agent, o.candidates, o.queued, ", ".join(f"{n} {name}" for name, n in o.by_stratum.items() if n))
                for o in found
            ],
            empty="no agents yet",
        )
        if any(one.queued for one in found):
            out.hint("next: trimtab reviews work")

    session.show({"samples": found}, render)


@command(reviews, "queue")
def queue(
    session: Session,
    agent: OfAgent = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """Open and claimed questions, the most pressing first."""
    with session.open() as (trimtab, actor):
        found = trimtab.reviews.queue(actor, agent=agent, limit=limit)

    def render(out: Output) -> None:
        out.table(
            ("agent", "key", "state", "asked for", "reasons", "drawn with", "held by", "id"),
            [
                (
                    one.agent,
                    one.key,
                    one.state,
                    one.stratum,
                    ", ".join(one.reasons),
                    number(one.inclusion),
                    one.claimed_by or "–",
                    one.id,
                )
                for one in found
            ],
            empty="no open questions; draw some with: trimtab reviews sample",
        )

    session.show({"items": found}, render)


@command(reviews, "claim")
def claim(session: Session, agent: OfAgent = None) -> None:
    """Take the most pressing question for 15 minutes; the one already held again."""
    with session.open() as (trimtab, actor):
        found = trimtab.reviews.claim(actor, agent=agent)

    def render(out: Output) -> None:
        if found is None:
            out.line("no open questions for you", "dim")
            return
        show_question(out, found)
        out.hint(
            f"answer: trimtab reviews answer {found.item.id} LABEL; it is yours until {when(found.item.lease_until)}"
        )

    session.show({"question": found}, render)


def show_question(out: Output, question: Question) -> None:
    """A question's payload, readable; the served choice and the judges stay hidden."""
    out.line(f"{question.item.agent}: {question.item.key}", "bold")
    out.fields(flat(question.payload).items())
    out.line(f"labels: {', '.join(question.labels)}")


def flat(payload: dict[str, object], prefix: str = "") -> dict[str, object]:
    """A payload's values by their dotted paths."""
    found: dict[str, object] = {}
    for name, value in payload.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = "–" if value is None else value
    return found


@command(reviews, "answer")
def answer(
    session: Session,
    item: Item,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The right answer.")],
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Anything worth remembering.")] = None,
    confidence: Annotated[float, typer.Option("--confidence", help="How sure, in (0, 1].")] = 1.0,
) -> None:
    """Answer a claimed question; the answer becomes a label at once."""
    with session.open() as (trimtab, actor):
        item_id = _item_id(trimtab, actor, item)
        found = trimtab.reviews.answer(actor, item_id, label, confidence=confidence, note=note)
    session.show(found, lambda out: out.good(f"{found.key} is {label}; the question is {found.state}"))


@command(reviews, "skip")
def skip(session: Session, item: Item) -> None:
    """Put a claimed question aside that you cannot answer."""
    with session.open() as (trimtab, actor):
        found = trimtab.reviews.skip(actor, _item_id(trimtab, actor, item))

    def render(out: Output) -> None:
        out.good(f"{found.key} is put aside")
        out.hint(f"ask it again: trimtab reviews reopen {found.id}")

    session.show(found, render)


@command(reviews, "reopen")
def reopen(session: Session, item: Item) -> None:
    """Ask a skipped question again."""
    with session.open() as (trimtab, actor):
        found = trimtab.reviews.reopen(actor, _item_id(trimtab, actor, item))
    session.show(found, lambda out: out.good(f"{found.key} is asked again"))


def _item_id(trimtab: Trimtab, actor: Actor, given: str) -> str:
    return full_id(given, lambda: trimtab.reviews.queue(actor, limit=10_000), "review item", "trimtab reviews queue")


@command(reviews, "stats")
def stats(session: Session, agent: OfAgent = None) -> None:
    """How many questions are in which state, and how far reviewers agree."""
    from trimtab.cli.review_text import show_agreement

    with session.open() as (trimtab, actor):
        found = trimtab.reviews.stats(actor, agent=agent)
        agreement = trimtab.reviews.agreement(actor, agent=agent)
    document = [{"state": state, "stratum": stratum, "n": n} for state, stratum, n in found]

    def render(out: Output) -> None:
        out.table(("state", "asked for", "questions"), found, empty="nobody was asked anything yet")
        show_agreement(out, agreement)

    session.show({"stats": document, "agreement": agreement}, render)


@command(reviews, "disputed")
def disputed(session: Session, agent: OfAgent = None) -> None:
    """Questions whose reviewers disagree, with what each of them said."""
    from trimtab.cli.review_text import show_disputes

    with session.open() as (trimtab, actor):
        found = trimtab.reviews.disputed(actor, agent=agent)
    session.show({"disputed": found}, lambda out: show_disputes(out, found))


@command(reviews, "adjudicate")
def adjudicate(
    session: Session,
    item: Item,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The right answer.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")],
    confidence: Annotated[float, typer.Option("--confidence", help="How sure you are, up to 1.")] = 1.0,
) -> None:
    """Decide a question on which its reviewers disagree; nobody who answered it may."""
    with session.open() as (trimtab, actor):
        known = (one.item for one in trimtab.reviews.disputed(actor))
        which = full_id(item, lambda: known, "disputed question", "trimtab reviews disputed")
        found = trimtab.reviews.adjudicate(actor, which, label, reason=reason, confidence=confidence)
    session.show(found, lambda out: out.good(f"{found.key} is {label}"))


@command(reviews, "worth")
def worth(session: Session, agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]) -> None:
    """What asking by uncertainty found against asking at random, and how many labels still pay."""
    from trimtab.cli.review_text import show_worth

    with session.open() as (trimtab, actor):
        found = trimtab.reviews.worth(actor, agent)
    session.show(found, lambda out: show_worth(out, found))


@command(reviews, "work")
def work(
    session: Session,
    agent: OfAgent = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Stop after so many questions.")
    ] = None,
) -> None:
    """Answer question after question: a number chooses the label, s skips, q quits."""
    from trimtab.cli.output import Output

    out = Output(stderr=session.json)
    answered = skipped = 0
    with session.open() as (trimtab, actor):
        while limit is None or answered + skipped < limit:
            question = trimtab.reviews.claim(actor, agent=agent)
            if question is None:
                out.line("no open questions for you", "dim")
                break
            out.console.rule()
            show_question(out, question)
            chosen = _ask(out, question.labels)
            if chosen is None:
                out.hint(f"{question.item.key} stays yours until {when(question.item.lease_until)}")
                break
            if chosen == "":
                trimtab.reviews.skip(actor, question.item.id)
                skipped += 1
                continue
            trimtab.reviews.answer(actor, question.item.id, chosen)
            answered += 1
    document = {"answered": answered, "skipped": skipped}
    session.show(document, lambda shown: shown.good(f"{answered:,} answered, {skipped:,} skipped; thank you"))


def _ask(out: Output, labels: tuple[str, ...]) -> str | None:
    """The chosen label, an empty text to skip, None to quit."""
    out.line("  ".join(f"{i}) {label}" for i, label in enumerate(labels, start=1)) + "  s) skip  q) quit", "bold")
    while True:
        typed = _key(len(labels))
        if typed in ("q", "Q", "", "\x04"):
            return None
        if typed in ("s", "S"):
            return ""
        if typed.isdecimal() and 1 <= int(typed) <= len(labels):
            out.good(labels[int(typed) - 1])
            return labels[int(typed) - 1]
        out.line(f"type a number from 1 to {len(labels)}, s or q", "yellow")


def _key(labels: int) -> str:
    """One key; a whole line where one figure is not enough to name a label. Empty at the end of the input."""
    import sys

    if labels <= 9 and sys.stdin.isatty():
        typed = typer.getchar()
        if typed == "\x03":
            raise KeyboardInterrupt
        return typed
    line = sys.stdin.readline()
    return line.strip() or "?" if line else ""
