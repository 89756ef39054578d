"""Logistic regression: fitted by scikit-learn on standardised columns, written down in raw units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.core.agents import Feature
from trimtab.core.batch import Floats
from trimtab.core.bundles import round_significant
from trimtab.core.training.design import Design, build_matrix, plan_design
from trimtab.core.training.examples import Dataset
from trimtab.core.training.metrics import log_loss

# Inverse strengths of the L2 penalty on standardised columns, strongest first.
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLogistic:
    """A fitted model and what leads from its standardised columns back to raw units."""

    model: Any
    design: Design
    features: tuple[Feature, ...]
    centre: Floats
    scale: Floats
    labels: int

    def posterior(self, dataset: Dataset) -> Floats:
        """What scikit-learn itself says, (n, k); labels that were not in the training rows get 0."""
        matrix = (build_matrix(self.design, self.features, dataset.columns) - self.centre) / self.scale
        posterior = np.zeros((len(matrix), self.labels))
        posterior[:, self.model.classes_] = self.model.predict_proba(matrix)
        return posterior

    def policy(self, temperature: float) -> dict[str, Any]:
        """The policy's document: scaling and temperature folded in, so nothing else is needed to evaluate it.

        (x - centre) / scale · w + b = x · (w / scale) + (b - centre · (w / scale)); all divided by the temperature.
        """
        raw = self.model.coef_ / self.scale
        intercept = (self.model.intercept_ - raw @ self.centre) / temperature
        raw = raw / temperature
        document: dict[str, Any] = {
            "kind": "logistic",
            "intercept": [round_significant(value) for value in intercept.tolist()],
            "coefficients": {
                term.name: [round_significant(value) for value in raw[:, index].tolist()]
                for index, term in enumerate(self.design.terms)
            },
        }
        if self.design.clamps:
            document["clamps"] = {name: list(limits) for name, limits in self.design.clamps.items()}
        return document


def fit_logistic(dataset: Dataset, features: Sequence[Feature], *, labels: int, strength: float) -> FittedLogistic:
    """Fit on all rows of `dataset`; every label that occurs needs at least one row, and two labels must occur."""
    design = plan_design(features, dataset.columns, dataset.weight, linear=True)
    matrix = build_matrix(design, features, dataset.columns)
    centre, scale = _standardise(design, matrix, dataset.weight)
    model = _fit(matrix, dataset.label, dataset.weight, strength)
    return FittedLogistic(
        model=model, design=design, features=tuple(features), centre=centre, scale=scale, labels=labels
    )


def _standardise(design: Design, matrix: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Centre all columns, in place, and scale the numeric ones; scaled indicators of rare things would weigh most."""
    total = weight.sum()
    centre = weight @ matrix / total
    matrix -= centre
    scale = np.ones(len(design.terms))
    for index, term in enumerate(design.terms):
        if term.category is None and not term.missing:
            spread = float(np.sqrt(np.dot(weight, matrix[:, index] ** 2) / total))
            scale[index] = spread if spread > 0 else 1.0
    matrix /= scale
    return centre, scale


def _fit(matrix: Floats, label: npt.NDArray[np.intp], weight: Floats, strength: float) -> Any:
    # Newton's method ends at the optimum to the last digits, so the bundle's hash does not hang on where a
    # gradient method happened to stop; with few columns it is also the fastest.
    from sklearn.linear_model import LogisticRegression  # loaded when first used: it takes most of a second

    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-7, max_iter=200)
    return model.fit(matrix, label, sample_weight=weight)


def cross_validate_logistic(
    dataset: Dataset, features: Sequence[Feature], *, labels: int, folds: Sequence[npt.NDArray[np.int64]]
) -> tuple[float, Floats, npt.NDArray[np.float64]]:
    """The strength with the least log loss out of fold, its out-of-fold posteriors, and the mean loss per strength.

    `folds`: one array of fold numbers per repeat. Posteriors are averaged over repeats, shape (n, k). Of strengths
    within one standard error of the best (paired over folds), the strongest penalty wins.
    """
    posteriors = np.zeros((len(STRENGTHS), dataset.n, labels))
    losses: list[list[float]] = []
    for fold in folds:
        for number in range(int(fold.max()) + 1):
            inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            train, test = dataset.take(inside), dataset.take(outside)
            design = plan_design(features, train.columns, train.weight, linear=True)
            if len(np.unique(train.label)) < 2 or len(outside) == 0 or not design.terms:
                posteriors[:, outside] += _frequencies(train, labels) / len(folds)
                continue
            matrix = build_matrix(design, features, train.columns)
            centre, scale = _standardise(design, matrix, train.weight)
            held = (build_matrix(design, features, test.columns) - centre) / scale
            row: list[float] = []
            # Each strength starts from the solution of the one before: the same optimum in fewer steps.
            from sklearn.linear_model import LogisticRegression

            model = LogisticRegression(solver="newton-cholesky", tol=1e-5, max_iter=200, warm_start=True)
            for index, strength in enumerate(STRENGTHS):
                model.set_params(C=strength).fit(matrix, train.label, sample_weight=train.weight)
                posterior = np.zeros((len(outside), labels))
                posterior[:, model.classes_] = model.predict_proba(held)
                posteriors[index][outside] += posterior / len(folds)
                row.append(log_loss(posterior, test.label, test.weight))
            losses.append(row)
    if not losses:
        return 1.0, posteriors[STRENGTHS.index(1.0)], np.zeros(len(STRENGTHS))
    table = np.asarray(losses)
    best = simplest_within_error(table)
    return STRENGTHS[best], posteriors[best], table.mean(axis=0)


def _frequencies(train: Dataset, labels: int) -> Floats:
    mass = np.bincount(train.label, weights=train.weight, minlength=labels)
    return np.asarray(mass / mass.sum())


def simplest_within_error(losses: npt.NDArray[np.float64]) -> int:
    """The first candidate whose loss is within one standard error of the best; `losses` is (folds, candidates).

    Candidates go from simple to complex. The error is that of the paired difference to the best over the folds
    (Breiman et al. 1984, section 3.4.3, paired).
    """
    best = int(losses.mean(axis=0).argmin())
    difference = losses - losses[:, [best]]
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(losses)) if len(losses) > 1 else np.zeros(losses.shape[1])
    return int(np.argmax(difference.mean(axis=0) <= error + 1e-12))
