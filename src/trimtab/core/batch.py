"""Evaluating a bundle on many rows at once: the same numbers as `trimtab.core.policy`, a column at a time.

A column is a float64 array with NaN for "unknown". A category's column is either its texts (None for unknown) or, as
`columns_from_values` makes it, float64 positions in the feature's declared categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.core.agents import MAX_MAGNITUDE, MISSING_SUFFIX, Feature
from trimtab.core.bundles import (
    Bundle,
    Condition,
    LogisticPolicy,
    Operator,
    PolicyDocument,
    RulesPolicy,
    TreePolicy,
    TreeSplit,
    used_features,
)
from trimtab.core.features import Value
from trimtab.core.policy.compiled import spread
from trimtab.errors import InvalidInputError

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]


def columns_from_values(features: Sequence[Feature], rows: Sequence[Sequence[Value]]) -> dict[str, Floats]:
    """Feature vectors (n rows in the features' order) as one float64 array of shape (n,) per feature.

    Unknown values, and categories that the feature does not declare, are NaN. Raises InvalidInputError for a row of
    another length or a text where a number belongs.
    """
    width = len(features)
    for index, row in enumerate(rows):
        if len(row) != width:
            raise InvalidInputError(f"row {index} has {len(row)} values, there are {width} features")
    columns: dict[str, Floats] = {}
    for feature, column in zip(features, zip(*rows, strict=True), strict=True) if rows else ():
        columns[feature.name] = _encoded(feature, column)
    return columns or {feature.name: np.empty(0) for feature in features}


def _encoded(feature: Feature, column: Sequence[Any]) -> Floats:
    if not feature.is_numeric:
        positions: dict[Any, float] = {category: float(i) for i, category in enumerate(feature.categories)}
        return np.array([positions.get(value, np.nan) for value in column])
    try:
        encoded = np.array(column, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        wrong = next(value for value in column if isinstance(value, str))
        raise InvalidInputError(f"feature {feature.name!r} is a {feature.kind.value}, found {wrong!r}") from None
    encoded[~(np.abs(encoded) <= MAX_MAGNITUDE)] = np.nan
    return encoded


def posterior_matrix(bundle: Bundle, columns: Columns) -> Floats:
    """The posterior over the bundle's labels for n rows, shape (n, k); every row equals `Policy.posterior` of it.

    `columns` maps feature names to arrays of shape (n,); others than the bundle's features are ignored. A feature that
    the policy does not use may be absent; one that it uses may not: InvalidInputError.

    >>> from trimtab.core.agents import AgentSpec
    >>> x = {"name": "x", "kind": "number"}
    >>> spec = AgentSpec.from_mapping({"agent": "a", "labels": ["no", "yes"], "features": [x]})
    >>> policy = {"kind": "logistic", "intercept": [0.0], "coefficients": {"x": [1.0]}}
    >>> posterior_matrix(Bundle.build(spec, policy, fills={"x": 0.0}), {"x": np.array([0.0])})
    array([[0.5, 0.5]])
    """
    n, known = _prepared(bundle, columns)
    return _evaluate(bundle, bundle.policy, known, n)


def chosen_labels(posterior: Floats) -> npt.NDArray[np.intp]:
    """The position of the chosen label per row of a (n, k) posterior: the largest, the first one in a tie."""
    return np.asarray(np.argmax(posterior, axis=1))


def _prepared(bundle: Bundle, columns: Columns) -> tuple[int, dict[str, Floats]]:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise InvalidInputError(f"the columns must have one length, found {sorted(lengths) or 'no column'}")
    n = lengths.pop()
    known: dict[str, Floats] = {}
    for feature in bundle.features:
        column = columns.get(feature.name)
        if column is None:
            continue
        if column.dtype.kind not in "fiub":
            known[feature.name] = _encoded(feature, column.tolist())
        else:
            known[feature.name] = column.astype(np.float64, copy=False)
    absent = sorted(used_features(bundle.policy) - known.keys())
    if absent:
        raise InvalidInputError(f"the bundle needs the columns {', '.join(absent)}")
    return n, known


def _evaluate(bundle: Bundle, policy: PolicyDocument, columns: Mapping[str, Floats], n: int) -> Floats:
    if isinstance(policy, LogisticPolicy):
        return _logistic(bundle, policy, columns, n)
    if isinstance(policy, TreePolicy):
        return _tree(bundle, policy, columns, n)
    if isinstance(policy, RulesPolicy):
        return _rules(bundle, policy, columns, n)
    total = np.zeros((n, len(bundle.labels)))
    for member in policy.members:
        total += member.weight * _evaluate(bundle, member.policy, columns, n)
    return total


def _logistic(bundle: Bundle, policy: LogisticPolicy, columns: Mapping[str, Floats], n: int) -> Floats:
    scores = [_score(bundle, policy, row, columns, n) for row in range(len(policy.intercept))]
    if len(scores) > 1:
        matrix = np.stack(scores, axis=1)
        matrix -= matrix.max(axis=1, keepdims=True)
        np.exp(matrix, out=matrix)
        matrix /= matrix.sum(axis=1, keepdims=True)
        return matrix
    z = scores[0]
    e = np.exp(-np.abs(z))
    large, small = 1.0 / (1.0 + e), e / (1.0 + e)
    second = z >= 0
    posterior = np.empty((n, 2))
    posterior[:, 0] = np.where(second, small, large)
    posterior[:, 1] = np.where(second, large, small)
    return posterior


def _score(bundle: Bundle, policy: LogisticPolicy, row: int, columns: Mapping[str, Floats], n: int) -> Floats:
    """The sum of one row, the terms added in the features' order: bit for bit what the plain evaluation adds."""
    zero = (0.0,) * (row + 1)
    z = np.full(n, policy.intercept[row])
    for feature, fill in zip(bundle.features, bundle.fills, strict=True):
        if feature.name not in columns:
            continue
        column = columns[feature.name]
        extra = policy.coefficients.get(feature.name + MISSING_SUFFIX, zero)[row]
        if feature.is_numeric:
            weight = policy.coefficients.get(feature.name, zero)[row]
            if weight == 0 and extra == 0:
                continue
            low, high = policy.clamps.get(feature.name, (None, None))
            term = column if low is None else np.maximum(column, low)
            term = weight * (term if high is None else np.minimum(term, high))
            unknown = ~np.isfinite(column)
            if unknown.any():
                usual = weight * policy.clamped(feature.name, fill) if isinstance(fill, (int, float)) else 0.0
                term[unknown] = usual + extra
        else:
            table = [policy.coefficients.get(f"{feature.name}={name}", zero)[row] for name in feature.categories]
            usual = table[feature.categories.index(fill)] if isinstance(fill, str) else 0.0
            # The last entry stands for "unknown"; NaN positions are sent there.
            positions = np.where(np.isfinite(column), column, len(table)).astype(np.intp)
            term = np.array([*table, usual + extra])[positions]
        z += term
    return z


def _tree(bundle: Bundle, policy: TreePolicy, columns: Mapping[str, Floats], n: int) -> Floats:
    k, nodes = len(bundle.labels), policy.nodes
    posterior = np.zeros((n, k))
    # Children stand after their parents, so one pass hands every row down; only rows with an unknown value split.
    rows: dict[int, npt.NDArray[np.intp]] = {0: np.arange(n)}
    weights: dict[int, Floats | None] = {0: None}
    declared = {feature.name: feature for feature in bundle.features}
    for index, node in enumerate(nodes):
        here, weight = rows.pop(index), weights.pop(index)
        if not isinstance(node, TreeSplit):
            share = np.asarray(node.posterior)
            posterior[here] += share if weight is None else weight[:, None] * share
            continue
        column = columns[node.feature][here]
        if node.threshold is None:
            wanted = [declared[node.feature].categories.index(category) for category in node.categories]
            left = np.isin(column, wanted)
        else:
            left = column <= node.threshold
        unknown = np.isnan(column)
        if not unknown.any():
            rows[node.left], rows[node.right] = here[left], here[~left]
            weights[node.left] = None if weight is None else weight[left]
            weights[node.right] = None if weight is None else weight[~left]
            continue
        weight = np.ones(len(here)) if weight is None else weight
        for child, goes, share_here in (
            (node.left, left | unknown, node.share_left),
            (node.right, ~left | unknown, 1.0 - node.share_left),
        ):
            rows[child] = here[goes]
            weights[child] = np.where(unknown, weight * share_here, weight)[goes]
    return posterior


def _rules(bundle: Bundle, policy: RulesPolicy, columns: Mapping[str, Floats], n: int) -> Floats:
    posterior = np.empty((n, len(bundle.labels)))
    posterior[:] = spread(policy.default, bundle.labels)
    declared = {feature.name: feature for feature in bundle.features}
    open_rows = np.ones(n, dtype=np.bool_)
    for rule in policy.rules:
        fired = open_rows.copy()
        for condition in rule.when:
            fired &= _holds(condition, declared[condition.feature], columns[condition.feature])
        posterior[fired] = spread(rule, bundle.labels)
        open_rows &= ~fired
    return posterior


def _holds(condition: Condition, feature: Feature, column: Floats) -> npt.NDArray[np.bool_]:
    op, wanted = condition.op, condition.value
    if op is Operator.MISSING:
        return np.asarray(np.isnan(column) == wanted)
    if isinstance(wanted, tuple):
        return np.isin(column, [feature.categories.index(category) for category in wanted])
    value = float(feature.categories.index(wanted)) if isinstance(wanted, str) else float(wanted)
    compare = {
        Operator.AT_MOST: np.less_equal,
        Operator.BELOW: np.less,
        Operator.AT_LEAST: np.greater_equal,
        Operator.ABOVE: np.greater,
        Operator.EQUAL: np.equal,
        Operator.NOT_EQUAL: np.not_equal,
    }[op]
    return np.asarray(compare(column, value) & ~np.isnan(column))
