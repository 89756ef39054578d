"""The demo's last screen: what came of it, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.core.rollouts import RolloutState
from trimtab.demo.happenings import Tone
from trimtab.demo.people import START
from trimtab.demo.story import Accuracy, Day, RolloutStory, Story
from trimtab.demo.words import (
    NOT_MEASURED,
    VERDICTS,
    clean,
    count,
    figure,
    percent,
    percents,
    points,
    points_between,
    sparkline,
    verdict_day,
)

WIDEST = 100
_SERVED = "served right, by day  "
_MARKS = (
    ("rolled", Tone.BAD, "R"),
    ("by mistake", Tone.BAD, "!"),
    ("promoted", Tone.GOOD, "P"),
    ("starts with", None, "s"),
    (" have ", None, "›"),
)


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
    _accuracy(story, console)
    _judges(story, console)
    _rollouts(story, console)
    _closing(story, console, html, next_commands)


def _heading(console: Console, text: str, note: str = "") -> None:
    console.print()
    console.print(Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))


def _served(story: Story, console: Console) -> None:
    """Accuracy and events as one character a day, on as many lines as the days need."""
    row = console.width - len(_SERVED)
    shares = [day.accuracy for day in story.days]
    bars, marks = sparkline(shares), [_mark(day) for day in story.days]
    for start in range(0, len(marks), row):
        console.print(Text.assemble((_SERVED, "dim"), (bars[start : start + row], "cyan")))
        events = Text(" " * len(_SERVED))
        for mark, style in marks[start : start + row]:
            events.append(mark, style=style)
        console.print(events)
    known = [share for share in shares if share is not None]
    line = Text(" " * len(_SERVED))
    if known:
        line.append(f"{percent(known[0])} on the first day, {percent(known[-1])} on the last")
    console.print(line)
    console.print(
        Text.assemble(
            (" " * len(_SERVED), ""),
            ("s", ""),
            (" start  ", "dim"),
            ("›", ""),
            (" more  ", "dim"),
            ("P", "bold green"),
            (" promoted  ", "dim"),
            ("!", "bold red"),
            (" poisoned  ", "dim"),
            ("R", "bold red"),
            (" rolled back", "dim"),
        ),
        no_wrap=True,
        overflow="ellipsis",
    )


def _mark(day: Day) -> tuple[str, str]:
    """The most telling thing of a day."""
    words = [(line.words, line.tone) for line in day.happenings if line.n is None]
    for needle, tone, mark in _MARKS:
        if any(needle in text and (tone is None or tone is its) for text, its in words):
            return mark, "bold green" if tone is Tone.GOOD else "bold red" if tone is Tone.BAD else ""
    return "·", "dim"


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
    others = ", ".join(
        f"{n:,} {source}s" if source == "approval" else f"{n:,} {source}"
        for source, n in sorted(story.labels_by_source.items())
        if source not in ("review", "gold")
    )
    share = f" ({percent(story.human_labels / story.n_all_labels, 0)})" if story.n_all_labels else ""
    told = (
        f"People gave {count(story.human_labels, 'answer')}; labelling everything takes {story.n_all_labels:,}{share}"
    )
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
    table = _table("", "days", "verdict", "decisions", "labels", "true difference")
    for one in story.rollouts:
        style = "bold red" if one.poisoned else "green" if one.state is RolloutState.PROMOTED else ""
        table.add_row(
            Text(one.name, style=style),
            _days(one),
            Text(VERDICTS[one.state] + (", POISONED" if one.poisoned else ""), style=style),
            f"{one.decisions:,}",
            f"{one.labels:,}",
            f"{points(one.truth.value)} ({points_between(one.truth.interval)})",
        )
    console.print(table)
    for one in story.rollouts:
        who = "guard" if one.by_guard or one.by_guard is None else one.events[-1].actor
        if one.poisoned:
            words = f"poisoned labels, approved by mistake. {who}: {one.reason}"
            console.print(Text.assemble((f"{one.name} ", "bold red"), (clean(words), "red")))
        else:
            line = Text.assemble(f"{one.name} ", (clean(f"{who}: {one.reason}"), "dim"))
            console.print(line, no_wrap=True, overflow="ellipsis")


def _days(one: RolloutStory) -> str:
    begin, end = (one.rollout.created_at - START).days + 1, verdict_day(one)
    return f"{begin}–" if end is None else f"{begin}–{end + 1}" if end + 1 != begin else str(begin)


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
    for place, (command, why) in enumerate(next_commands):
        line = Text.assemble(
            ("        " if place else "next    ", "dim"), (clean(command), "bold"), (f"   {why}" if why else "", "dim")
        )
        console.print(line, soft_wrap=True)  # a command is copied whole


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        right = name in ("right", "weight", "agreement", "ECE", "n", "decisions", "labels")
        table.add_column(name, justify="right" if right else "left", no_wrap=place == 0, overflow="fold")
    return table
