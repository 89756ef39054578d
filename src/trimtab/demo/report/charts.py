"""The report's charts, each drawn from the story for a given width."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trimtab.core.labels import Source
from trimtab.core.rollouts import RolloutState
from trimtab.demo.people import START
from trimtab.demo.story import JudgeStory, RolloutStory, Story
from trimtab.demo.svg import Axis, Chart, axis
from trimtab.demo.words import NOT_MEASURED, count, date, figure, percent, percents, points, points_between

SOURCES = ((Source.REVIEW.value, "c1"), (Source.APPROVAL.value, "c2"), (Source.FEEDBACK.value, "c3"))
NARROW = 500  # pixels; below, there is room for less text


def day_of(at: datetime) -> float:
    """A moment as a number of days, 1.0 being the first midnight."""
    return 1 + (at - START).total_seconds() / 86_400


def _day_axis(story: Story, width: int) -> Axis:
    n = len(story.days)
    every = max(1, round(n / (10 if width > NARROW else 5)))
    shown = [day for day in range(1, n + 1) if day == 1 or day % every == 0]
    return Axis(low=0.5, high=n + 0.5, ticks=tuple((day, str(day)) for day in shown), name="day")


def accuracy(story: Story, width: int) -> str:
    """The accuracy of what was served, day by day, with Wilson bands, champion changes and the poisoned rollout."""
    days = [day for day in story.days if day.interval is not None]
    bounds = [bound for day in days if day.interval for bound in day.interval]
    chart = Chart(
        "Accuracy of what was served, by day", width, 280, _day_axis(story, width), axis(bounds, percent=True)
    )
    for one in story.rollouts:
        if one.poisoned and one.rollout.started_at is not None:
            chart.mark_x(day_of(one.rollout.started_at), "poisoned", "bad", row=1)
    for at, sha256 in story.champions[1:]:
        chart.mark_x(day_of(at), sha256[:8] if width > NARROW else sha256[:4], "good")
    chart.band([(day.day + 1, *day.interval) for day in days if day.interval], "c1")
    chart.line([(day.day + 1, day.accuracy or 0.0) for day in days], "c1")
    for day in days:
        tip = f"{date(day.day)}: {percent(day.accuracy)} of {day.mails} ({percents(day.interval)})"
        chart.dot(day.day + 1, day.accuracy or 0.0, "c1", tip=tip)
    return chart.render()


def labels(story: Story, width: int) -> str:
    """Labels that arrived on each day, stacked by source."""
    most = max([sum(day.labels.values()) for day in story.days] or [1])
    chart = Chart("Labels by source and day", width, 220, _day_axis(story, width), axis([0.0, float(max(1, most))]))
    for day in story.days:
        below = 0
        for source, css in SOURCES:
            n = day.labels.get(source, 0)
            if n:
                chart.bar(
                    day.day + 1, 0.8, below, below + n, css, tip=f"{date(day.day)}: {count(n, source + ' label')}"
                )
                below += n
    return chart.render()


def kept_aside(story: Story, width: int) -> str:
    """First and last champion, and the model of every label, with their intervals."""
    rows = [
        ("every label", story.all_labels, "c4"),
        ("last champion", story.last, "c1"),
        ("first champion", story.first, "c5"),
    ]
    known = [(name, one, css) for name, one, css in rows if one is not None]
    bounds = [bound for _, one, _ in known for bound in one.interval]
    names = tuple((float(place), name) for place, (name, _, _) in enumerate(known))
    y = Axis(low=-0.6, high=len(known) - 0.4, ticks=names)
    chart = Chart(
        "Accuracy on items kept aside", width, 44 * len(known) + 40, axis(bounds, percent=True), y, left=104, right=20
    )
    for place, (name, one, css) in enumerate(known):
        tip = f"{name}: {percent(one.value)} ({percents(one.interval)}), {one.right:,} of {one.n:,}"
        chart.whisker(place, one.interval[0], one.value, one.interval[1], css, tip=tip)
    return chart.render()


def shares(story: Story, width: int) -> str:
    """The share of traffic that challengers had, as steps over time."""
    y = Axis(low=0.0, high=1.0, ticks=((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")))
    chart = Chart("Traffic share of challengers", width, 150, _day_axis(story, width), y)
    for one in story.rollouts:
        css = "bad" if one.poisoned else "good" if one.state is RolloutState.PROMOTED else "c5"
        steps = [(day_of(event.at), float(event.share)) for event in one.events]
        if not steps:
            continue
        end = steps[-1][0] if one.rollout.ended_at else len(story.days) + 0.5
        chart.line([(steps[0][0], 0.0), *steps, (end, steps[-1][1])], css, step=True, tip=f"{one.name}: {one.state}")
        for event in one.events:
            chart.dot(day_of(event.at), float(event.share), css, tip=f"{one.name}: {event.action} by {event.actor}")
    return chart.render()


def evidence(one: RolloutStory, width: int) -> str:
    """The paired difference with its anytime-valid bounds, against the labels it rests on."""
    used = [point for point in one.points if point.estimate is not None]
    values = [bound for point in used for bound in (point.low, point.high)] + [one.truth.value, 0.0]
    cut = [min(0.3, max(-0.3, value)) for value in values]
    x = axis([0.0, *[float(point.labels) for point in used]], name="labels on which the two differ")
    chart = Chart(f"Evidence on {one.name}", width, 230, x, axis(cut, percent=True))
    css = "bad" if one.poisoned else "c1"
    chart.mark_y(0.0, "zero")
    chart.mark_y(one.truth.value, "truth", f"true difference {points(one.truth.value)}")
    chart.band([(point.labels, point.low, point.high) for point in used], css)
    chart.line([(point.labels, point.estimate or 0.0) for point in used], css)
    for point in used:
        tip = (
            f"after {count(point.labels, 'label')}: {points(point.estimate)} "
            f"({points_between((point.low, point.high))}), {date((point.at - START).days)}"
        )
        chart.dot(point.labels, point.estimate or 0.0, css, tip=tip, radius=2)
    return chart.render()


def meters(story: Story, one: RolloutStory, width: int) -> str:
    """Evidence for gain and for harm over time, as shares of what decides."""
    highest = max([1.15, *[max(point.harm, point.gain) for point in one.points]])
    scale = axis([0.0, min(highest, 2.5)], most=3)
    first = (day_of(one.rollout.started_at) if one.rollout.started_at else 1.0) - 0.1
    last = (day_of(one.rollout.ended_at) if one.rollout.ended_at else len(story.days) + 1.0) + 0.1
    every = max(1, round((last - first) / 6))
    ticks = tuple((float(day), str(day)) for day in range(int(first) + 1, int(last) + 1) if day % every == 0)
    chart = Chart(
        f"Evidence meters of {one.name}", width, 150, Axis(low=first, high=last, ticks=ticks, name="day"), scale
    )
    chart.mark_y(1.0, "zero", "shown")
    for css, name, pick in (("good", "gain", 0), ("bad", "harm", 1)):
        # Answers of one moment count together: only the last of them is what the guard could see.
        series = list({day_of(point.at): (point.gain, point.harm)[pick] for point in one.points}.items())
        chart.line([(first, 0.0), *series, (last, series[-1][1] if series else 0.0)], css, step=True, tip=name)
    return chart.render()


def weights(story: Story, width: int) -> str:
    """Each judge's weight by day as a heat map, the newest as a number."""
    n = len(story.judges)
    names = tuple((float(n - 1 - row), one.judge[:18]) for row, one in enumerate(story.judges))
    y = Axis(low=-0.5, high=n - 0.5, ticks=names)
    chart = Chart("Judge weights over time", width, 30 * n + 46, _day_axis(story, width), y, left=124, right=44)
    for row, one in enumerate(story.judges):
        for at, weight in one.history:
            tip = f"{one.judge}, {date((at - START).days)}: weight {figure(weight)}"
            chart.cell(int(day_of(at)), n - 1 - row, 1.0, 1.0, (weight - 0.3) / 0.7, tip=tip)
        chart.text(width - 38, chart.py(n - 1 - row) + 4, figure(one.weight), "value")
    return chart.render()


def reliability(one: JudgeStory) -> str:
    """Stated confidence against the share right; on the diagonal a judge is as right as it says."""
    size = 190
    both = Axis(low=0.0, high=1.0, ticks=((0.0, "0"), (0.5, "½"), (1.0, "1")))
    chart = Chart(f"Reliability of {one.judge}", size, size, both, both, left=24, right=8, top=8, bottom=24)
    chart.line([(0.0, 0.0), (1.0, 1.0)], "zero")
    heaviest = max([weight for weight, _, _ in one.bins] or [1.0])
    chart.line([(stated, right) for _, stated, right in one.bins], "c1")
    for weight, stated, right in one.bins:
        tip = f"says {percent(stated)}, is right {percent(right)}"
        chart.dot(stated, right, "c1", tip=tip, radius=2 + 4 * (weight / heaviest) ** 0.5)
    return chart.render()


def differences(rollouts: Sequence[RolloutStory], width: int) -> str:
    """What each challenger was really worth, on the items kept aside."""
    n = len(rollouts)
    bounds = [bound for one in rollouts for bound in one.truth.interval]
    names = tuple((float(n - 1 - row), one.name) for row, one in enumerate(rollouts))
    chart = Chart(
        "True differences of challengers",
        width,
        40 * n + 40,
        axis([*bounds, 0.0], percent=True),
        Axis(low=-0.6, high=n - 0.4, ticks=names),
        left=84,
        right=20,
    )
    chart.line([(0.0, -0.6), (0.0, n - 0.4)], "zero")
    for row, one in enumerate(rollouts):
        low, high = one.truth.interval
        css = "bad" if one.poisoned else "good" if one.state is RolloutState.PROMOTED else "c5"
        tip = f"{one.name}: {points(one.truth.value)} points ({points_between((low, high))})"
        chart.whisker(n - 1 - row, low, one.truth.value, high, css, tip=tip)
    return chart.render()


__all__ = [
    "NOT_MEASURED",
    "SOURCES",
    "accuracy",
    "differences",
    "evidence",
    "kept_aside",
    "labels",
    "meters",
    "reliability",
    "shares",
    "weights",
]
