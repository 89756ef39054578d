"""A judge and a consensus as text: what was measured, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimtab.cli.plain import between, number, percent, when

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.services.judges import JudgeReport


def show_judge(out: Output, report: JudgeReport) -> None:
    """The newest version in full, and how the versions before it did."""
    newest, found = report.versions[0], report.versions[0].snapshot
    out.line(f"{report.judge}@{newest.version}, judge of {report.agent}", "bold")
    out.fields(
        [
            ("weight", f"{number(newest.weight)}{' (unproven)' if newest.unproven else ''}"),
            ("why", found.get("reason", "")),
            ("agreement", _measured(found.get("agreement"), found.get("interval"), newest.n)),
            ("compared answers", f"{newest.n:,}, worth {number(found.get('effective_n'), 1)} fresh ones"),
            ("kappa (beyond chance)", number(found.get("kappa"))),
            ("calibration error (ECE)", number(found.get("ece"))),
            ("Brier score", number(found.get("brier"))),
            ("honest confidence", _recalibrated(found.get("recalibration"))),
            ("drift", _drifted(found.get("drift"))),
            ("measured", when(newest.at)),
        ]
    )
    _show_confusion(out, found.get("confusion"))
    _show_bins(out, found.get("reliability_bins") or [])
    out.heading("versions")
    out.table(
        ("version", "weight", "agreement", "n", "first measured", "last measured"),
        [
            (
                row.version,
                f"{number(row.weight)}{' (unproven)' if row.unproven else ''}",
                number(row.snapshot.get("agreement")),
                row.n,
                when(min(one.at for one in report.history if one.version == row.version)),
                when(row.at),
            )
            for row in report.versions
        ],
    )


def drift_mark(snapshot: Mapping[str, Any]) -> str:
    """One word or figure for a table: how far agreement moved, where the interval excludes no change."""
    found = snapshot.get("drift")
    if not found or found["change"] is None:
        return "–"
    return f"{100 * found['change']:+.0f} pt" if found["drifted"] else "no"


def _measured(value: float | None, interval: Any, n: int) -> str:
    return "nothing compared" if value is None else f"{percent(value)} ({between(interval)}), n = {n:,}"


def _recalibrated(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "no stated confidence was compared"
    said = f"{found['kind']} map from {found['n']:,} verdicts"
    if found["brier"] is None:
        return f"{said}: too few to compare, every verdict gets {percent(found['accuracy'])}"
    return f"{said}: Brier {number(found['brier'])} against {number(found['constant_brier'])} of one constant"


def _drifted(found: Mapping[str, Any] | None) -> str:
    if not found or found["change"] is None:
        return "not known: answers from within the last half-life and from before are needed"
    word = "moved" if found["drifted"] else "none seen"
    return (
        f"{word}: {percent(found['recent'])} in {found['recent_n']:,} recent answers against {percent(found['older'])} "
        f"in {found['older_n']:,} before, change {between(found['interval'])}"
    )


def _show_confusion(out: Output, found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    out.heading("confusion (weight of answers: people's label down, the judge's across)")
    out.table(
        ("people say", *found["labels"]),
        [
            (label, *(number(one, 1) for one in row))
            for label, row in zip(found["labels"], found["weight"], strict=True)
        ],
    )


def _show_bins(out: Output, bins: list[list[float]]) -> None:
    if not bins:
        return
    out.heading("stated confidence against how often it was right")
    out.table(
        ("stated", "right", "weight"),
        [(percent(confidence), percent(accuracy), number(weight, 1)) for weight, confidence, accuracy in bins],
    )


def show_consensus(out: Output, agent: str, row: Any) -> None:
    """The consensus in use, why, and every method that competed."""
    found = row.snapshot
    out.line(f"{agent}: {found['name']}", "bold")
    worth = found["effective_judges"]
    out.fields(
        [
            ("why", found["reason"]),
            ("held-out accuracy", _measured(found["accuracy"], found["interval"], found["n"])),
            ("majority vote's", percent(found["majority_accuracy"])),
            ("judges", f"{found['judges']}, worth {'an unknown number of' if worth is None else number(worth, 1)} "
                       f"independent ones ({found['judges_compared']} could be compared)"),
            ("chosen", when(row.at)),
        ]
    )  # fmt: skip
    if found["fell_back"]:
        out.line("the learned consensus lost to majority vote on held-out answers: majority vote is used", "yellow")
    if found["below_majority"]:
        out.line("below majority vote on the held-out answers, by less than chance explains", "yellow")
    out.heading("what competed, on answers that it did not see")
    out.table(
        ("method", "right", "log loss", "share"),
        [
            (one["name"], percent(one["accuracy"]), number(one["log_loss"]), percent(one["share"]))
            for one in found["scores"]
        ],
        empty="nothing yet: too few human labels to compare methods",
    )
