"""The demo's last screen: what came of it, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trimtab.core.rollouts import RolloutState
from trimtab.demo.happenings import Happening, Tone
from trimtab.demo.screen import STYLES
from trimtab.demo.story import Accuracy, Story
from trimtab.demo.words import (
    NOT_MEASURED,
    VERDICTS,
    clean,
    count,
    eventful,
    figure,
    percent,
    percents,
    points,
    points_between,
    sparkline,
)

MOST_EVENTFUL_DAYS = 12
WIDEST = 100


def show(
    story: Story, console: Console, *, seconds: float, html: Path, next_commands: Sequence[tuple[str, str]]
) -> None:
    """Print the summary."""
    if console.width > WIDEST:
        console.width = WIDEST
    console.print(
        Text.assemble(
            ("Trimtab demo", "bold"),
            f"  {count(len(story.days), 'day')} of {clean(story.data_name)} in {seconds:.0f} s, seed {story.seed}",
        )
    )
    _served(story, console)
    _happened(story, console)
    _accuracy(story, console)
    _judges(story, console)
    _rollouts(story, console)
    _closing(story, console, html, next_commands)


def _heading(console: Console, text: str, note: str = "") -> None:
    console.print()
    console.print(Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))


def _served(story: Story, console: Console) -> None:
    shares = [day.accuracy for day in story.days]
    line = Text.assemble(("served right, day by day  ", "dim"), (sparkline(shares), "cyan"))
    known = [share for share in shares if share is not None]
    if known:
        line.append(f"  {percent(known[0])} → {percent(known[-1])}")
    console.print(line)


def _happened(story: Story, console: Console) -> None:
    days = eventful(story.days)
    if not days:
        return
    _heading(console, "What happened", f"{len(story.days) - len(days)} more days of nothing but work")
    shown = days[:MOST_EVENTFUL_DAYS]
    for day in shown:
        line = Text(f"day {day.day + 1:>3}  ", style="dim", no_wrap=True, overflow="ellipsis")
        for place, one in enumerate(_brief([one for one in day.happenings if one.n is None])):
            line.append("; " if place else "", style="dim")
            line.append(clean(one.text), style=STYLES[one.tone] or "default")
        console.print(line)
    if len(days) > len(shown):
        console.print(
            Text(f"         and {count(len(days) - len(shown), 'more eventful day')}: see the report", style="dim")
        )


def _brief(lines: Sequence[Happening]) -> list[Happening]:
    """An approval that a start follows on the same day goes without saying, unless it was a mistake."""
    starts = any("starts with" in line.words for line in lines)
    return [line for line in lines if not (starts and line.tone is Tone.STEP and " approved " in line.words)]


def _accuracy(story: Story, console: Console) -> None:
    _heading(console, f"Accuracy on {story.last.n:,} items kept aside", "95 % intervals")
    table = _table("", "right", "interval", "learned from")
    learned = NOT_MEASURED if story.champion_examples is None else count(story.champion_examples, "labelled example")
    if story.last.bundle == story.first.bundle:
        table.add_row(
            f"champion {story.first.bundle[:8]}", *_measured(story.first), "hand-written rules, still the best"
        )
    else:
        table.add_row(
            f"first champion {story.first.bundle[:8]}", *_measured(story.first), "nothing: hand-written rules"
        )
        table.add_row(Text(f"last champion  {story.last.bundle[:8]}", style="bold"), *_measured(story.last), learned)
        gain = story.gain
        style = "green" if gain.interval[0] > 0 else "red" if gain.interval[1] < 0 else ""
        table.add_row(
            "difference, paired", Text(f"{points(gain.value)}  ", style=style), points_between(gain.interval), "points"
        )
    if story.all_labels is None:
        table.add_row("a model of every label", NOT_MEASURED, "", f"{count(story.n_all_labels, 'label')} are too few")
    else:
        everything = f"all {count(story.n_all_labels, 'true label')}, for comparison"
        table.add_row(Text("a model of every label", style="dim"), *_measured(story.all_labels), everything)
    console.print(table)
    share = percent(story.human_labels / story.n_all_labels, 0) if story.n_all_labels else NOT_MEASURED
    others = ", ".join(
        f"{n:,} {source}s" if source == "approval" else f"{n:,} {source}"
        for source, n in sorted(story.labels_by_source.items())
        if source not in ("review", "gold")
    )
    told = f"People were asked {count(story.human_labels, 'time')}: {share} of {story.n_all_labels:,} items"
    console.print(Text(f"{told}; beside that {others}" if others else told))


def _measured(one: Accuracy) -> tuple[str, str]:
    return percent(one.value), percents(one.interval)


def _judges(story: Story, console: Console) -> None:
    _heading(console, "Judges", "measured against people's answers")
    if not story.judges:
        console.print(Text(NOT_MEASURED, style="dim"))
        return
    table = _table("", "weight", "agreement", "interval", "ECE", "n")
    for one in story.judges:
        weight = figure(one.weight) + (" unproven" if one.unproven else "")
        agreement = NOT_MEASURED if one.agreement is None else percent(one.agreement)
        interval = "" if one.interval is None else percents(one.interval)
        ece = NOT_MEASURED if one.ece is None else figure(one.ece, 3)
        table.add_row(clean(one.judge), weight, agreement, interval, ece, f"{one.n:,}")
    console.print(table)
    together = ", ".join(
        f"{clean(one.method)} {percent(one.accuracy)}" for one in story.agreement if one.accuracy is not None
    )
    if together:
        console.print(Text(f"together right where people answered: {together}"))


def _rollouts(story: Story, console: Console) -> None:
    _heading(console, "Rollouts", "decisions and labels until the verdict; true difference on the items kept aside")
    if not story.rollouts:
        console.print(Text("none: too few labels to train on yet; run more days", style="dim"))
        return
    table = _table("", "verdict", "decisions", "labels", "true difference")
    for one in story.rollouts:
        style = "bold red" if one.poisoned else "green" if one.state is RolloutState.PROMOTED else ""
        table.add_row(
            Text(one.name + (" POISONED" if one.poisoned else ""), style=style),
            Text(VERDICTS[one.state], style=style),
            f"{one.decisions:,}",
            f"{one.labels:,}",
            f"{points(one.truth.value)} ({points_between(one.truth.interval)})",
        )
    console.print(table)
    for one in story.rollouts:
        who = "the guard" if one.by_guard or one.by_guard is None else one.events[-1].actor
        words = Text(f"{one.name} ", style="bold red" if one.poisoned else "default")
        words.append(f"{who}: {clean(one.reason)}", style="red" if one.poisoned else "dim")
        words.no_wrap, words.overflow = not one.poisoned, "ellipsis"
        console.print(words)


def _closing(story: Story, console: Console, html: Path, next_commands: Sequence[tuple[str, str]]) -> None:
    console.print()
    proof = story.verification
    if proof.holds:
        told = f"holds: {proof.audit.length:,} audit entries and {count(proof.packets.length, 'evidence packet')}"
        console.print(Text.assemble(("verify  ", "dim"), (told, "green")))
    else:
        problems = [one.problem for one in (proof.audit, proof.packets) if one.problem] + list(proof.problems)
        console.print(Text.assemble(("verify  ", "dim"), (f"DOES NOT HOLD: {'; '.join(problems)}", "bold red")))
    console.print(Text.assemble(("report  ", "dim"), clean(html)))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for place, (command, why) in enumerate(next_commands):
        grid.add_row("next   " if not place else "", Text.assemble((command, "bold"), (f"   {why}", "dim")))
    console.print(Padding(grid, 0))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        right = name in ("right", "weight", "agreement", "ECE", "n", "decisions", "labels")
        table.add_column(name, justify="right" if right else "left", no_wrap=place == 0, overflow="fold")
    return table
