"""The report's parts in the order in which one reads them."""

from __future__ import annotations

from itertools import pairwise

from trimtab.core.rollouts import RolloutState
from trimtab.demo.happenings import Tone
from trimtab.demo.report import charts
from trimtab.demo.report.tags import behind, figure, key, table, text
from trimtab.demo.story import RolloutStory, Story
from trimtab.demo.words import (
    NOT_MEASURED,
    VERDICTS,
    count,
    date,
    eventful,
    percent,
    percents,
    points,
    points_between,
)
from trimtab.demo.words import figure as number


def body(story: Story) -> str:
    """The whole page below its head."""
    parts = (_opening, _accuracy, _days, _labels, _rollouts, _judges, _policy, _proof)
    return "\n".join(part(story) for part in parts)


def _opening(story: Story) -> str:
    same = story.first.bundle == story.last.bundle
    gain = (
        f"The first champion still serves: nothing better was shown in {count(len(story.days), 'day')}."
        if same
        else f"From {percent(story.first.value)} right to {percent(story.last.value)}, "
        f"measured on {story.last.n:,} items that nothing learned from."
    )
    promoted = sum(one.state is RolloutState.PROMOTED for one in story.rollouts)
    stopped = sum(one.state is RolloutState.ROLLED_BACK for one in story.rollouts)
    figures = [
        (percent(story.last.value), f"right, last champion ({percents(story.last.interval)})"),
        (
            "0" if same else points(story.gain.value),
            "points gained" if same else f"points gained ({points_between(story.gain.interval)}), paired",
        ),
        (f"{story.human_labels:,}", f"answers by people; labelling everything takes {story.n_all_labels:,}"),
        (f"{promoted} / {stopped}", "challengers promoted / rolled back by the guard"),
    ]
    shown = "".join(f"<li><b>{text(value)}</b><span>{text(what)}</span></li>" for value, what in figures)
    notes = " ".join(story.notes)
    return (
        f"<header><h1>{text(count(len(story.days), 'day'))} of an agent that learns</h1>"
        f'<p class="lead">{text(gain)}</p></header><ul class="figures">{shown}</ul>'
        f'<p class="note">Agent <b>{text(story.agent)}</b> on {text(story.data_name)}, seed {story.seed}. {text(notes)}'
        " Intervals are 95 % unless they say otherwise; everything here was read back from the demo’s database.</p>"
    )


def _days(story: Story) -> str:
    items = []
    for day in eventful(story.days):
        lines = "".join(
            f'<span class="{line.tone.value if line.tone in (Tone.GOOD, Tone.BAD) else ""}">{text(line.text)}</span>'
            for line in day.happenings
            if line.n is None
        )
        items.append(f"<li><time>day {day.day + 1}</time><div>{lines}</div></li>")
    everything = table(
        ("day", "what happened"),
        [(date(day.day), "; ".join(line.text for line in day.happenings) or "nothing but work") for day in story.days],
        prose=1,
    )
    return f'<h2>What happened</h2><ul class="days">{"".join(items)}</ul>{behind("Every day", everything)}'


def _accuracy(story: Story) -> str:
    daily = table(
        ("day", "decisions", "right", "accuracy", "95 % interval", "by a challenger", "arms differed"),
        [
            (
                f"{day.day + 1} · {date(day.day)}",
                f"{day.mails:,}",
                f"{day.right:,}",
                percent(day.accuracy),
                percents(day.interval),
                f"{day.canary:,}",
                f"{day.discordant:,}",
            )
            for day in story.days
        ],
    )
    rows = [("first champion", story.first), ("last champion", story.last)]
    if story.all_labels is not None:
        rows.append((f"a model of all {story.n_all_labels:,} labels", story.all_labels))
    aside = table(
        ("", "bundle", "accuracy", "95 % interval", "right", "of"),
        [
            (name, one.bundle[:8], percent(one.value), percents(one.interval), f"{one.right:,}", f"{one.n:,}")
            for name, one in rows
        ],
        numbers_from=2,
    )
    return (
        "<h2>How often it was right</h2>"
        f"<p>What was served each day, against the true answers, with 95 % Wilson bands. The loop never saw these "
        f"answers on that day.</p>{figure(lambda width: charts.accuracy(story, width))}"
        + key(
            [
                ("k1", "right, of what was served"),
                ("kg", "a challenger becomes champion"),
                ("kb", "the poisoned one starts"),
            ]
        )
        + behind("The figures", daily)
        + f"<h3>On {story.last.n:,} items kept aside</h3>"
        + figure(lambda width: charts.kept_aside(story, width))
        + behind("The figures", aside)
    )


def _labels(story: Story) -> str:
    total = sum(story.labels_by_source.values())
    names = [source for source, _ in charts.SOURCES]
    daily = table(
        ("day", *names),
        [(f"{day.day + 1} · {date(day.day)}", *(day.labels.get(one, 0) for one in names)) for day in story.days],
    )
    by_source = ", ".join(
        f"{n:,} by {source}" for source, n in sorted(story.labels_by_source.items(), key=lambda e: -e[1])
    )
    learned = (
        f" The last champion learned from {count(story.champion_examples, 'example')}."
        if story.champion_examples
        else ""
    )
    return (
        f"<h2>What people said</h2><p>{text(f'{total:,} labels: {by_source or NOT_MEASURED}.')}{text(learned)} Reviews"
        " are asked for with a known probability; approvals and thumbs come as they please, late and partial.</p>"
        + figure(lambda width: charts.labels(story, width))
        + key(
            [("k1", "answers to questions (review)"), ("k2", "approvals of actions"), ("k3", "thumbs and corrections")]
        )
        + behind("The figures", daily)
    )


def _rollouts(story: Story) -> str:
    if not story.rollouts:
        return "<h2>Rollouts</h2><p>None: there were too few labels to train on. Run more days.</p>"
    rows = [
        (
            one.name + (" (poisoned)" if one.poisoned else ""),
            VERDICTS[one.state],
            f"{one.decisions:,}",
            f"{one.discordant:,}",
            f"{one.labels:,}",
            points(one.truth.value),
            points_between(one.truth.interval),
        )
        for one in story.rollouts
    ]
    columns = ("challenger", "verdict", "decisions", "arms differed", "labels", "true difference", "95 % interval")
    return (
        "<h2>Challengers and the guard</h2><p>While a rollout runs, both arms decide on every item and one is served. "
        "Only where they differ can quality change, so only there a label is evidence. The guard may look at any time: "
        "its bounds hold at all looks together.</p>"
        + figure(lambda width: charts.shares(story, width), "Share of the traffic that challengers had.")
        + key([("kg", "promoted"), ("kb", "poisoned"), ("kn", "neither")])
        + "".join(_rollout(story, one) for one in story.rollouts)
        + "<h3>What they were really worth</h3>"
        + '<p class="note">Accuracy minus the champion’s on the items kept aside, in percentage points: the guard'
        " could not see this.</p>"
        + figure(lambda width: charts.differences(story.rollouts, width))
        + behind("The figures", table(columns, rows, numbers_from=2))
    )


def _rollout(story: Story, one: RolloutStory) -> str:
    css = "poisoned" if one.poisoned else "promoted" if one.state is RolloutState.PROMOTED else ""
    tone = "bad" if one.poisoned else "good" if one.state is RolloutState.PROMOTED else ""
    who = "The guard" if one.by_guard or one.by_guard is None else str(one.events[-1].actor)
    heading = f"{one.name}: {VERDICTS[one.state]}" + (
        " (trained on poisoned labels, approved by mistake)" if one.poisoned else ""
    )
    told = (
        f"{count(one.decisions, 'decision')} compared, {one.discordant:,} on which the arms differ, "
        f"{count(one.labels, 'label')} on those{' until the verdict' if one.rollout.ended_at else ' so far'}."
    )
    steps = table(
        ("when", "what", "by", "share"),
        [
            (
                f"day {int(charts.day_of(event.at))}, {event.at:%H:%M}",
                event.action.replace("_", " "),
                event.actor,
                percent(event.share, 0),
            )
            for event in one.events
        ],
        numbers_from=3,
    )
    grown = table(
        ("day", "labels", "compared", "difference", "bounds", "gain", "harm"),
        [
            (
                f"{int(charts.day_of(point.at))}",
                f"{point.labels:,}",
                f"{point.compared:,}",
                points(point.estimate),
                points_between((point.low, point.high)),
                number(point.gain),
                number(point.harm),
            )
            for point in one.points
        ],
    )
    drawn = (
        figure(
            lambda width: charts.evidence(one, width),
            "Difference in quality with its anytime-valid bounds, label by label.",
        )
        + figure(
            lambda width: charts.meters(story, one, width),
            "Evidence for gain (solid) and harm (dashed). Harm at 1 is rolled back at once; gain at 1 is promoted as "
            "soon as everything else that the plan asks is shown.",
        )
        if one.points
        else f'<p class="note">Evidence: {NOT_MEASURED}.</p>'
    )
    return (
        f'<section class="rollout {css}"><h3 class="{tone}">{text(heading)}</h3>'
        f"<p>{text(told)} {text(f'{who}: {one.reason}')}.</p>{drawn}"
        + behind("Its course", steps)
        + (behind("The evidence in figures", grown) if one.points else "")
        + "</section>"
    )


def _judges(story: Story) -> str:
    if not story.judges:
        return f"<h2>Judges</h2><p>Judges: {NOT_MEASURED}; nobody answered a question yet.</p>"
    rows = [
        (
            one.judge,
            number(one.weight) + (" (unproven)" if one.unproven else ""),
            percent(one.agreement),
            percents(one.interval),
            number(one.ece, 3),
            f"{one.n:,}",
            one.describe,
        )
        for one in story.judges
    ]
    diagrams = "".join(
        f"<figure>{charts.reliability(one)}<figcaption><b>{text(one.judge)}</b>ECE {number(one.ece, 3)}, "
        f"n {one.n:,}</figcaption></figure>"
        for one in story.judges
    )
    together = "; ".join(f"{one.method} {percent(one.accuracy)} (n {one.n:,})" for one in story.agreement)
    return (
        "<h2>What the judges are worth</h2><p>Five code judges rate every decision. Their weight is their agreement "
        "with people, less half of their calibration error, between 0.1 and 1.</p>"
        + figure(lambda width: charts.weights(story, width), "Weight by day; the newest as a number.")
        + behind(
            "The figures",
            table(("judge", "weight", "agreement", "95 % interval", "ECE", "n", "what it is"), rows, prose=6),
        )
        + '<h3>Are they as right as they say?</h3><p class="note">Stated confidence across, share right upwards. Below'
        f' the diagonal a judge is too sure of itself.</p><div class="diagrams">{diagrams}</div>'
        + behind(
            "The figures",
            table(
                ("judge", "says", "is right"),
                [(one.judge, percent(stated), percent(right)) for one in story.judges for _, stated, right in one.bins],
            ),
        )
        + f'<p class="note">Together, where people answered: {text(together or NOT_MEASURED)}.</p>'
    )


def _policy(story: Story) -> str:
    parts = ["<h2>The policy, readable</h2>"]
    if story.diff is not None:
        lines = story.diff.lines()
        parts.append(
            f"<p>From the first champion to the last: {count(len(lines), 'line')} of difference.</p>"
            f"<pre>{text(chr(10).join(lines[:14]))}</pre>"
            + (behind(f"All {len(lines)} lines", f"<pre>{text(chr(10).join(lines))}</pre>") if len(lines) > 14 else "")
        )
    if story.explanation:
        parts.append(f"<h3>One of the last decisions, explained</h3><pre>{text(chr(10).join(story.explanation))}</pre>")
    return "".join(parts) if len(parts) > 1 else ""


def _proof(story: Story) -> str:
    proof = story.verification
    if proof.holds:
        told = (
            f"Verified: {proof.audit.length:,} audit entries and {count(proof.packets.length, 'evidence packet')}, "
            "each naming the hash of the one before."
        )
    else:
        told = "DOES NOT HOLD: " + "; ".join(
            [one.problem for one in (proof.audit, proof.packets) if one.problem] + list(proof.problems)
        )
    changes = "".join(
        f" {text(after[:8])} followed {text(before[:8])} on day {int(charts.day_of(at))}."
        for (_, before), (at, after) in pairwise(story.champions)
    )
    css = "good" if proof.holds else "bad"
    return f'<footer><p class="{css}">{text(told)}</p><p>{changes}</p></footer>'
