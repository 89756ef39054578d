"""A replay in words: which logged decisions would have come out differently, and what people say about those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimtab.cli.plain import between, number, percent, short

if TYPE_CHECKING:
    from trimtab.cli.output import Output

MOST_SLICES = 8
_KINDS = (
    ("worse", "a person says that the present choice was right"),
    ("better", "a person says that the new choice is right"),
    ("unlabelled", "nobody has answered these"),
)


def show_replay(out: Output, found: Mapping[str, Any]) -> None:
    """Flips, the flip matrix, the paired difference with its interval, the worst slices, and examples."""
    n = found["compared"]
    if not n:
        out.line("no logged decisions in that range: nothing was compared", "yellow")
        return
    judged = found.get("judges_helped")
    cost = found.get("cost_change_usd")
    out.fields(
        [
            ("bundles", f"{short(found['champion'])} -> {short(found['challenger'])}"),
            ("decisions compared", number(n)),
            ("would come out differently", f"{number(found['flips'])} ({percent(found['flip_share'])})"),
            (
                "of these labelled",
                f"{number(found['labelled_flips'])}: {found['better']} better, {found['worse']} worse",
            ),
            ("answers left out", f"{number(found.get('answers_left_out', 0))}, known when a bundle was trained"),
            ("difference in quality", f"{number(found['difference'])} ({between(found['interval'])})"),
            (
                "with the judges' help",
                "not measured" if judged is None else f"{number(judged['difference'])} ({between(judged['interval'])})",
            ),
            (
                "handed to people",
                f"{percent(found['review_share_before'])} -> {percent(found['review_share_after'])} of decisions",
            ),
            ("cost of a decision", "not measured" if cost is None else f"{cost:+.6f} USD"),
        ]
    )
    if found["flips"] and not found["labelled_flips"]:
        out.line("no decision that would change has a person's answer: quality was not compared", "yellow")
    labels = found["labels"]
    out.heading("present choice (rows) against the new one (columns)")
    rows = zip(labels, found["flip_matrix"], strict=True)
    out.table(("", *labels), [(label, *(number(one) for one in row)) for label, row in rows])
    _show_slices(out, found.get("slices") or [])
    for kind, meaning in _KINDS:
        examples = (found.get("examples") or {}).get(kind) or []
        if examples:
            out.heading(f"{kind}: {meaning}")
            out.table(
                ("key", "now", "then", "answer"),
                [(o["key"], o["before"], o["after"], o["answer"] or "–") for o in examples],
            )


def _show_slices(out: Output, slices: list[Mapping[str, Any]]) -> None:
    changed = [one for one in slices if one["flips"]]
    if not changed:
        return
    out.heading("slices, the worst first")
    out.table(
        ("slice", "decisions", "differently", "labelled", "difference", "interval"),
        [
            (
                one["slice"],
                number(one["n"]),
                number(one["flips"]),
                number(one["labelled_flips"]),
                number(one["difference"]),
                between(one["interval"]),
            )
            for one in changed[:MOST_SLICES]
        ],
    )
    if len(changed) > MOST_SLICES:
        out.hint(f"and {len(changed) - MOST_SLICES} more; all of them with --json")
