"""Decision trees: grown by scikit-learn, written down with readable thresholds and honest leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.core.agents import Feature
from trimtab.core.batch import Floats
from trimtab.core.bundles import round_significant
from trimtab.core.training.calibration import heated
from trimtab.core.training.design import Design, build_matrix, plan_design
from trimtab.core.training.examples import Dataset
from trimtab.core.training.logistic import simplest_within_error
from trimtab.core.training.metrics import log_loss

Nodes = npt.NDArray[np.intp]

DEPTHS = (1, 2, 3, 4, 5, 6, 8)
LEAF_SIZES = (20, 10, 5)
# From simple to complex: what `simplest_within_error` chooses from.
SHAPES = tuple((depth, leaf) for depth in DEPTHS for leaf in LEAF_SIZES)
_LEAF = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTree:
    """A grown tree, its design, and per node the weight of each label, unknown values counted on both sides.

    Arrays are per node: `column` of the design (-1: a leaf), `threshold`, `left`, `right`, `share_left`; `mass` is
    (nodes, labels), `n` the number of rows.
    """

    model: Any
    design: Design
    features: tuple[Feature, ...]
    labels: int
    column: Nodes
    threshold: Floats
    left: Nodes
    right: Nodes
    share_left: Floats
    mass: Floats
    n: Floats

    def sklearn_choice(self, dataset: Dataset) -> npt.NDArray[np.intp]:
        """The label positions that scikit-learn itself chooses, unknown values filled in."""
        matrix = build_matrix(self.design, self.features, dataset.columns)
        if not self.design.terms:
            matrix = np.zeros((dataset.n, 1))
        return np.asarray(self.model.predict(matrix), dtype=np.intp)

    def posterior(self, temperature: float) -> Floats:
        """Per node: (mass + 1) / (total + k), heated: a pure leaf of five rows is not certain.

        Laplace's correction at the leaves: Provost & Domingos 2003, doi:10.1023/A:1024099825458. The same is added to
        every label and heating keeps the order, so the choice is the tree's own.
        """
        return heated((self.mass + 1.0) / (self.mass.sum(axis=1, keepdims=True) + self.labels), temperature)

    def policy(self, temperature: float) -> dict[str, Any]:
        """The policy's document."""
        posterior = self.posterior(temperature)
        nodes: list[dict[str, Any]] = []
        for node in range(len(self.column)):
            if self.column[node] == _LEAF:
                leaf = [round_significant(value) for value in posterior[node].tolist()]
                nodes.append({"posterior": leaf, "n": round_significant(float(self.n[node]), 6)})
                continue
            term = self.design.terms[int(self.column[node])]
            left, right = int(self.left[node]), int(self.right[node])
            share = round_significant(float(self.share_left[node]), 6)
            if term.category is not None:
                # "indicator <= 0.5" sends the category to the right; a bundle asks the other way round.
                test: dict[str, Any] = {"categories": [term.category]}
                left, right, share = right, left, round_significant(1 - share, 6)
            else:
                test = {"threshold": float(self.threshold[node])}
            nodes.append({"feature": term.feature, **test, "left": left, "right": right, "share_left": share})
        return {"kind": "tree", "nodes": nodes}


def fit_tree(
    dataset: Dataset, features: Sequence[Feature], *, labels: int, depth: int, leaf: int, seed: int
) -> FittedTree:
    """Grow on all rows of `dataset`, at most `depth` deep, at least `leaf` rows in a leaf."""
    design = plan_design(features, dataset.columns, dataset.weight, linear=False)
    matrix = build_matrix(design, features, dataset.columns)
    if not design.terms:
        # Nothing varies: scikit-learn refuses such a matrix, the tree is its root.
        matrix = np.zeros((dataset.n, 1))
    from sklearn.tree import DecisionTreeClassifier  # loaded when first used: it takes most of a second

    model = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=seed % 2**32)
    model.fit(matrix, dataset.label, sample_weight=dataset.weight)
    tree = model.tree_
    column = np.where(tree.children_left < 0, _LEAF, tree.feature).astype(np.intp)
    left, right = tree.children_left.astype(np.intp), tree.children_right.astype(np.intp)
    threshold, share_left = tree.threshold.astype(np.float64), np.full(len(column), 0.5)
    mass, n = np.zeros((len(column), labels)), np.zeros(len(column))
    unknown = {term.feature: np.isnan(dataset.columns[term.feature]) for term in design.terms}
    # Every row goes down with its share: known values to one side, unknown ones to both, as in evaluation.
    rows: dict[int, npt.NDArray[np.intp]] = {0: np.arange(dataset.n)}
    shares: dict[int, Floats] = {0: np.ones(dataset.n)}
    for node in range(len(column)):
        here, share = rows.pop(node), shares.pop(node)
        weight = share * dataset.weight[here]
        mass[node] = np.bincount(dataset.label[here], weights=weight, minlength=labels)
        n[node] = share.sum()
        if column[node] == _LEAF:
            continue
        values, hidden = matrix[here, column[node]], unknown[design.terms[column[node]].feature][here]
        goes_left = values.astype(np.float32) <= threshold[node]  # how scikit-learn compares
        threshold[node] = readable_threshold(values[goes_left].max(), values[~goes_left].min())
        known = weight[~hidden].sum()
        if known > 0:
            share_left[node] = weight[goes_left & ~hidden].sum() / known
        if not hidden.any():
            rows[left[node]], rows[right[node]] = here[goes_left], here[~goes_left]
            shares[left[node]], shares[right[node]] = share[goes_left], share[~goes_left]
            continue
        for child, goes, part in (
            (left[node], goes_left | hidden, share_left[node]),
            (right[node], ~goes_left | hidden, 1 - share_left[node]),
        ):
            rows[child], shares[child] = here[goes], np.where(hidden, share * part, share)[goes]
    return FittedTree(
        model=model,
        design=design,
        features=tuple(features),
        labels=labels,
        column=column,
        threshold=threshold,
        left=left,
        right=right,
        share_left=share_left,
        mass=mass,
        n=n,
    )


def readable_threshold(low: float, high: float) -> float:
    """The shortest decimal close to the middle between the largest value on the left and the smallest on the right.

    `low` < `high`; the result t keeps low <= t < high, so every training row stays on its side.

    >>> readable_threshold(2.0, 3.0), readable_threshold(0.0661, 0.0662)
    (2.5, 0.06615)
    """
    low, high = float(low), float(high)
    middle = low + (high - low) / 2
    for digits in range(1, 18):
        value = float(f"{middle:.{digits}g}") + 0.0
        if low <= value < high and abs(value - middle) <= 0.05 * (high - low):
            return value
    return low


def cross_validate_tree(
    dataset: Dataset, features: Sequence[Feature], *, labels: int, folds: Sequence[npt.NDArray[np.int64]], seed: int
) -> tuple[tuple[int, int], Floats, npt.NDArray[np.float64]]:
    """The (depth, rows in a leaf) to grow to, its out-of-fold posteriors (n, k), and the mean loss per shape.

    One tree per leaf size is grown to the full depth; cut at a smaller depth it is the tree of that depth. Of shapes
    within one standard error of the best log loss (paired over folds) the simplest wins: a tree is there to be read.
    """
    posteriors = np.zeros((len(SHAPES), dataset.n, labels))
    losses: list[list[float]] = []
    for fold in folds:
        for number in range(int(fold.max()) + 1):
            inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            if len(outside) == 0:
                continue
            train, test = dataset.take(inside), dataset.take(outside)
            row: dict[tuple[int, int], float] = {}
            for leaf in LEAF_SIZES:
                fitted = fit_tree(train, features, labels=labels, depth=max(DEPTHS), leaf=leaf, seed=seed)
                for depth, posterior in _by_depth(fitted, test).items():
                    shape = (depth, leaf)
                    posteriors[SHAPES.index(shape)][outside] += posterior / len(folds)
                    row[shape] = log_loss(posterior, test.label, test.weight)
            losses.append([row[shape] for shape in SHAPES])
    table = np.asarray(losses)
    best = simplest_within_error(table)
    return SHAPES[best], posteriors[best], table.mean(axis=0)


def _by_depth(fitted: FittedTree, dataset: Dataset) -> dict[int, Floats]:
    """The posterior of every row for the tree cut at each depth of DEPTHS, (n, k) each."""
    node_posterior = fitted.posterior(1.0)
    columns = [dataset.columns[term.feature] for term in fitted.design.terms]
    matrix = build_matrix(fitted.design, fitted.features, dataset.columns)
    found: dict[int, Floats] = {}
    rows, nodes, shares = np.arange(dataset.n), np.zeros(dataset.n, dtype=np.intp), np.ones(dataset.n)
    for depth in range(1, max(DEPTHS) + 1):
        column = fitted.column[nodes]
        inner = column != _LEAF
        picked = np.where(inner, column, 0)
        values = matrix[rows, picked] if matrix.shape[1] else np.zeros(len(rows))
        hidden = np.zeros(len(rows), dtype=np.bool_)
        for index in np.unique(picked[inner]):
            at = inner & (column == index)
            hidden[at] = np.isnan(columns[index][rows[at]])
        goes_left = values <= fitted.threshold[nodes]
        stay, left, right = ~inner, inner & (goes_left | hidden), inner & (~goes_left | hidden)
        part = np.where(hidden, fitted.share_left[nodes], 1.0)
        rest = np.where(hidden, 1 - fitted.share_left[nodes], 1.0)
        rows, nodes, shares = (
            np.concatenate((rows[stay], rows[left], rows[right])),
            np.concatenate((nodes[stay], fitted.left[nodes[left]], fitted.right[nodes[right]])),
            np.concatenate((shares[stay], (shares * part)[left], (shares * rest)[right])),
        )
        if depth in DEPTHS:
            posterior = np.zeros((dataset.n, fitted.labels))
            np.add.at(posterior, rows, shares[:, None] * node_posterior[nodes])
            found[depth] = posterior
    return found
