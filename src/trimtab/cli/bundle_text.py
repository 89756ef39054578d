"""A bundle in words: everything that a person needs to check a decision with a pencil."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from trimtab.cli.plain import between, number, percent
from trimtab.core.bundles import (
    Bundle,
    EnsemblePolicy,
    LogisticPolicy,
    PolicyDocument,
    RulesPolicy,
    TreePolicy,
    TreeSplit,
    format_value,
)

if TYPE_CHECKING:
    from trimtab.cli.output import Output


def show_bundle(out: Output, bundle: Bundle) -> None:
    """Labels, features with their stand-ins, the policy, flip points and the held-out report."""
    out.line(f"bundle {bundle.sha256}", "bold")
    lineage = bundle.lineage
    out.fields(
        [
            ("agent", bundle.agent),
            ("labels", ", ".join(bundle.labels)),
            ("a person looks below", percent(bundle.escalate_below)),
            ("made", f"by training on {lineage.n_examples:,} examples" if lineage.n_examples else "by hand"),
            ("parent", lineage.parent[:12] if lineage.parent else "–"),
            ("seed", "–" if lineage.seed is None else lineage.seed),
        ]
    )
    out.heading("features")
    out.table(
        ("name", "kind", "path", "stands in when unknown"),
        [(one.name, one.kind, one.path, _fill(fill)) for one, fill in zip(bundle.features, bundle.fills, strict=True)],
    )
    _show_policy(out, bundle.policy, bundle.labels)
    if bundle.flip_points:
        out.heading("where the choice changes, all else as usual")
        out.table(("feature", "at", "up to it", "above"), [_flip(point) for point in bundle.flip_points])
    show_report(out, bundle.report)


def _fill(fill: Any) -> str:
    return "–" if fill is None else format_value(fill)


def _flip(point: Mapping[str, Any]) -> tuple[object, ...]:
    if point["value"] is None:
        return point["feature"], "never", point.get("reason", "–"), "–"
    return point["feature"], format_value(point["value"]), point.get("below", "–"), point.get("above", "–")


def _show_policy(out: Output, policy: PolicyDocument, labels: tuple[str, ...]) -> None:
    if isinstance(policy, EnsemblePolicy):
        for i, member in enumerate(policy.members, start=1):
            out.heading(f"member {i} of {len(policy.members)}, weight {number(member.weight)}")
            _show_policy(out, member.policy, labels)
        return
    out.heading(f"policy: {policy.kind}")
    if isinstance(policy, LogisticPolicy):
        heads = labels if len(policy.intercept) > 1 else (f"towards {labels[1]}",)
        rows = [("(start)", policy.intercept), *policy.coefficients.items()]
        out.table(("value of", *heads), [(name, *(f"{one:+.5g}" for one in row)) for name, row in rows])
    elif isinstance(policy, TreePolicy):
        for line in _tree_lines(policy, labels, 0, 0):
            out.line(line)
    elif isinstance(policy, RulesPolicy):
        for i, rule in enumerate(policy.rules, start=1):
            out.line(f"{i}. {rule}")
        out.line(f"   {policy.default}")


def _tree_lines(policy: TreePolicy, labels: tuple[str, ...], index: int, depth: int) -> Iterator[str]:
    node = policy.nodes[index]
    pad = "  " * depth
    if not isinstance(node, TreeSplit):
        best = max(range(len(labels)), key=lambda i: node.posterior[i])
        rows = "" if node.n is None else f", {number(node.n)} rows"
        yield f"{pad}{labels[best]} ({percent(node.posterior[best])}{rows})"
        return
    if node.threshold is None:
        question = f"{node.feature} in {', '.join(node.categories)}"
    else:
        question = f"{node.feature} <= {format_value(node.threshold)}"
    yield f"{pad}{question}? yes (and {percent(node.share_left)} of the unknown):"
    yield from _tree_lines(policy, labels, node.left, depth + 1)
    yield f"{pad}no:"
    yield from _tree_lines(policy, labels, node.right, depth + 1)


def show_report(out: Output, report: Mapping[str, Any] | None) -> None:
    """The held-out report of training; a bundle without one says so."""
    out.heading("held-out report")
    held = (report or {}).get("held_out")
    if not isinstance(held, Mapping):
        out.line("none: nothing is known about this bundle on rows that it has not seen", "yellow")
        return
    out.fields(
        [
            ("rows", f"{number(held.get('n'))} held out of {number((report or {}).get('n_examples'))}"),
            ("accuracy", f"{number(held.get('accuracy'))} ({between(held.get('accuracy_interval'))})"),
            ("balanced accuracy", number(held.get("balanced_accuracy"))),
            ("log loss, Brier, ECE", ", ".join(number(held.get(name)) for name in ("log_loss", "brier", "ece"))),
            *(
                (f"against {rival['rival']}", f"{rival['difference']:+.3f} ({between(rival.get('interval'))})")
                for rival in ((report or {}).get("majority"), (report or {}).get("champion"))
                if isinstance(rival, Mapping) and rival.get("difference") is not None
            ),
        ]
    )
    for note in (report or {}).get("notes") or []:
        out.hint(f"note: {note}")
