"""trimtab labels: the labelled store: feeds in, files in, figures out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import number, percent, when
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.cli.output import Output

labels = group("The labelled store: feeds in, files in, figures out.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A .csv, .tsv, .jsonl, .ndjson or .parquet.")]
KeyColumn = Annotated[
    str | None,
    typer.Option(
        "--key-column",
        metavar="COLUMN",
        help="What each row is about; else key, item_id or id, else the line's number.",
    ),
]
LabelColumn = Annotated[str, typer.Option("--label-column", metavar="COLUMN", help="The right answer.")]
Rows = Annotated[
    str | None, typer.Option("--rows", metavar="FIRST:LAST", help="These rows only, such as 1:150 or 151:.")
]
SHOWN = 10


@command(labels, "load")
def load(
    session: Session,
    agent: Annotated[str | None, typer.Option("--agent", metavar="AGENT", help="Of this agent only.")] = None,
    feed: Annotated[
        str | None, typer.Option("--feed", metavar="FEED", help="This feed only: feedback, approvals or gold.")
    ] = None,
) -> None:
    """Bring feedback, approvals and gold tasks into the store. Loading twice changes nothing."""
    with session.open() as (trimtab, actor):
        found = trimtab.labels.load(actor, agent=agent, feed=feed)

    def render(out: Output) -> None:
        out.table(
            ("agent", "feed", "added", "there already", "waiting for their decision"),
            [(one.agent, one.feed, one.added, one.present, one.waiting) for one in found],
            empty="no agents yet",
        )

    session.show({"feeds": found}, render)


@command(labels, "import")
def import_(
    session: Session,
    agent: Agent,
    file: File,
    key_column: KeyColumn = None,
    label_column: LabelColumn = "label",
    confidence_column: Annotated[
        str | None, typer.Option("--confidence-column", metavar="COLUMN", help="How sure the answer is, in (0, 1].")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Tells this import from others; else the file's name. Again changes nothing."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="A column that is no part of the payload.")
    ] = None,
    rows: Rows = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Store the good rows and name the bad ones; else one bad row stops all.")
    ] = False,
) -> None:
    """Import labelled rows; all other columns become the payload."""
    from trimtab.cli.files import labelled_rows, to_import
    from trimtab.cli.output import progress

    origin = name or file.stem
    unread: list[str] = []
    read = labelled_rows(
        file,
        name=origin,
        key=key_column,
        label=label_column,
        confidence=confidence_column,
        ignore=ignore or (),
        part=rows,
    )
    with session.open() as (trimtab, actor):
        trimtab.agents.get(actor, agent)
        watched = progress(to_import(read, refused=unread if skip_bad else None), f"reading {file.name}")
        report = trimtab.labels.add_rows(actor, agent, watched, name=origin, skip_bad=skip_bad)
    refused = [*unread, *report.refused]

    def render(out: Output) -> None:
        out.good(f"{report.added:,} labels added, {report.present:,} there already, {len(refused):,} rows refused")
        for one in refused[:SHOWN]:
            out.bad(one)
        if len(refused) > SHOWN:
            out.bad(f"and {len(refused) - SHOWN:,} more")
        if report.added:
            out.hint(f"next: trimtab bundles train {agent}")

    session.show({"added": report.added, "present": report.present, "refused": refused}, render)


@command(labels, "gold")
def gold(
    session: Session,
    agent: Agent,
    file: File,
    key_column: KeyColumn = None,
    label_column: LabelColumn = "label",
    rows: Rows = None,
    at_once: Annotated[bool, typer.Option("--load", help="Label them now; else the next load does.")] = False,
) -> None:
    """Add tasks with a trusted answer: all of them, or none where a row is bad.

    Their answers do not depend on what an agent chose, so replays and judges are measured by them.
    """
    from trimtab.cli.files import labelled_rows, to_import
    from trimtab.cli.output import progress

    read = labelled_rows(file, name=file.stem, key=key_column, label=label_column, part=rows)
    with session.open() as (trimtab, actor):
        trimtab.agents.get(actor, agent)
        added = trimtab.labels.add_gold(actor, agent, progress(to_import(read, refused=None), f"reading {file.name}"))
        loaded = trimtab.labels.load(actor, agent=agent, feed="gold") if at_once else None

    def render(out: Output) -> None:
        out.good(f"{added:,} gold tasks added")
        if loaded is None:
            out.hint(f"next: trimtab labels load --agent {agent} --feed gold")
        else:
            out.good(f"{sum(one.added for one in loaded):,} labels added")

    labelled = None if loaded is None else sum(one.added for one in loaded)
    session.show({"added": added, "labels": labelled}, render)


@command(labels, "stats")
def stats(
    session: Session,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="AGENT", help="Of this agent, in more detail.")
    ] = None,
) -> None:
    """The store in figures: by agent, source and label, and how it grew."""
    with session.open() as (trimtab, actor):
        found = trimtab.labels.stats(actor, agent=agent)

    def render(out: Output) -> None:
        out.fields(
            [
                ("labels", number(found.total)),
                ("of them negative (not this one)", number(found.negative)),
                ("new in the last day", number(found.last_day)),
                ("new in the last week", number(found.last_week)),
                *([] if found.conflicts is None else [("keys in conflict", number(found.conflicts))]),
            ]
        )
        for title, part in (("agent", found.by_agent), ("source", found.by_source), ("label", found.by_label)):
            if part:
                out.heading(f"by {title}")
                out.table(
                    (title, "labels", "share"), [(k, number(n), percent(n / found.total)) for k, n in part.items()]
                )
        if found.source_reliability:
            out.heading("what sources are worth")
            out.table(
                ("source", "reliability", "compared answers"),
                [(source, number(value), n) for source, (value, n) in found.source_reliability.items()],
            )
        waiting = {feed: n for feed, n in found.waiting.items() if n}
        if waiting:
            out.hint("not loaded yet: " + ", ".join(f"{n:,} {feed}" for feed, n in waiting.items()))

    session.show(found, render)


@command(labels, "conflicts")
def conflicts(session: Session, agent: Agent) -> None:
    """Keys on which sources contradict each other, with the answer that counts."""
    with session.open() as (trimtab, actor):
        found = [one for one in trimtab.labels.merged(actor, agent).values() if one.conflict]

    def render(out: Output) -> None:
        out.table(
            ("key", "counts as", "confidence", "sources", "newest"),
            [(o.key, o.label, number(o.confidence), ", ".join(o.sources), when(o.at)) for o in found],
            empty="no source contradicts another",
        )

    session.show({"conflicts": found}, render)
