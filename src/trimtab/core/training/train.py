"""train: labelled examples -> a candidate bundle with an honest held-out report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from trimtab.core.agents import AgentSpec
from trimtab.core.batch import Floats, chosen_labels, posterior_matrix
from trimtab.core.bundles import SCHEMA, Bundle, Lineage, used_features
from trimtab.core.features import Value
from trimtab.core.policy import compile_posterior, flip_point
from trimtab.core.training.calibration import fit_temperature
from trimtab.core.training.examples import Dataset, Example
from trimtab.core.training.logistic import FittedLogistic, cross_validate_logistic, fit_logistic
from trimtab.core.training.metrics import (
    Comparison,
    brier_score,
    compare,
    expected_calibration_error,
    figures,
    log_loss,
)
from trimtab.core.training.report import TrainingReport
from trimtab.core.training.splits import MIN_CLASS_ROWS, split_held_out, stratified_folds
from trimtab.core.training.tree import FittedTree, cross_validate_tree, fit_tree
from trimtab.errors import InsufficientDataError

MIN_EXAMPLES = 50
MIN_PER_LABEL = 5
# A label that all comes from one key or one set of values cannot be both taught and checked.
MIN_GROUPS_PER_LABEL = 3
FOLDS = 5
# How strongly to regularise is settled long before this many rows; more would only cost time.
TUNING_ROWS = 20_000


class Method(StrEnum):
    """What kind of policy to train."""

    LOGISTIC = "logistic"
    TREE = "tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A candidate bundle and what it has shown."""

    bundle: Bundle
    report: TrainingReport


def train(
    spec: AgentSpec,
    examples: Iterable[Example],
    *,
    method: Method,
    seed: int,
    champion: Bundle | None,
    code_version: str,
) -> TrainingResult:
    """A bundle for `spec` from `examples`; the same examples in any order and the same seed give the same hash.

    Groups (one key, or the same values) never straddle a split; the newest fifth is held out when times vary;
    regularisation or size, and a temperature, are chosen by repeated stratified grouped cross-validation on the other
    rows; the figures, also against `champion` and the most frequent label on the same rows, are those of the held-out
    rows. Raises InsufficientDataError below 50 examples or 5 of a label, InvalidInputError for an unusable example.
    """
    return train_dataset(
        spec,
        Dataset.from_examples(spec, examples),
        method=method,
        seed=seed,
        champion=champion,
        code_version=code_version,
    )


def train_dataset(
    spec: AgentSpec, dataset: Dataset, *, method: Method, seed: int, champion: Bundle | None, code_version: str
) -> TrainingResult:
    """`train` for examples that are columns already."""
    # One thread: the matrices are small, and linear algebra threads that wait for a busy machine's other cores made
    # the same training 18 times slower.
    with threadpool_limits(limits=1):
        return _train(spec, dataset, method=method, seed=seed, champion=champion, code_version=code_version)


def _train(
    spec: AgentSpec, dataset: Dataset, *, method: Method, seed: int, champion: Bundle | None, code_version: str
) -> TrainingResult:
    _refuse_too_little(spec, dataset)
    split = split_held_out(dataset, labels=len(spec.labels), seed=seed)
    train_side, held_out = dataset.take(split.train), dataset.take(split.held_out)
    _refuse_one_sided(spec, train_side)
    tuned = _tune(spec, train_side, method=method, seed=seed)
    lineage = Lineage(
        examples_sha256=dataset.sha256,
        code_version=code_version,
        seed=seed,
        parent=None if champion is None else champion.sha256,
        method=method.value,
        n_examples=dataset.n,
    )
    fitted = tuned.fit(spec, train_side, seed)
    # The held-out figures are those of a bundle, evaluated as agents will: rounding, folding and all.
    candidate = _bundle(spec, fitted, tuned.temperature, lineage)
    plain = posterior_matrix(_bundle(spec, fitted, 1.0, lineage), held_out.columns)
    posterior = posterior_matrix(candidate, held_out.columns)
    notes = [
        "the bundle was fitted once more on all examples; the figures are those of the fit without the held-out rows",
        *tuned.notes,
    ]
    report = TrainingReport(
        method=method.value,
        n_examples=dataset.n,
        n_train=train_side.n,
        n_held_out=held_out.n,
        n_groups=int(dataset.group.max()) + 1,
        effective_n=float(dataset.weight.sum() ** 2 / (dataset.weight**2).sum()),
        per_label=_per_label(spec, dataset),
        split=split.kind,
        split_reason=split.reason,
        settings=tuned.settings,
        temperature=tuned.temperature,
        held_out=figures(posterior, held_out.label, held_out.weight, spec.labels),
        uncalibrated_log_loss=log_loss(plain, held_out.label),
        uncalibrated_ece=expected_calibration_error(plain, held_out.label),
        uncalibrated_brier=brier_score(plain, held_out.label),
        majority=_against_majority(spec, posterior, train_side, held_out),
        champion=None if champion is None else _against_champion(spec, posterior, held_out, champion, notes),
        notes=tuple(notes),
    )
    final = _bundle(spec, tuned.fit(spec, dataset, seed), tuned.temperature, lineage, dataset, report)
    return TrainingResult(bundle=final, report=report)


def _refuse_too_little(spec: AgentSpec, dataset: Dataset) -> None:
    lacks = []
    if dataset.n < MIN_EXAMPLES:
        lacks.append(
            f"{MIN_EXAMPLES} labelled examples are needed, there are {dataset.n}: {MIN_EXAMPLES - dataset.n} more"
        )
    for label, count in _per_label(spec, dataset).items():
        if count < MIN_PER_LABEL:
            lacks.append(f"label {label!r} has {count} of {MIN_PER_LABEL} needed: {MIN_PER_LABEL - count} more")
    if lacks:
        raise InsufficientDataError(
            f"not enough to train {spec.agent}: {'; '.join(lacks)}. Answer the review queue or import labels; "
            "a label that never occurs can be taken out of the spec"
        )
    for index, label in enumerate(spec.labels):
        groups = int(np.count_nonzero(np.bincount(dataset.group[dataset.label == index])))
        if groups < MIN_GROUPS_PER_LABEL:
            raise InsufficientDataError(
                f"not enough to train {spec.agent}: the examples of label {label!r} are copies of {groups} "
                f"(same key or same values), at least {MIN_GROUPS_PER_LABEL} different ones are needed"
            )
    if all(np.isnan(column).all() or np.ptp(column[~np.isnan(column)]) == 0 for column in dataset.columns.values()):
        raise InsufficientDataError(
            f"nothing to learn for {spec.agent}: every feature has the same value in all examples; check the paths"
        )


def _refuse_one_sided(spec: AgentSpec, train_side: Dataset) -> None:
    for label, count in _per_label(spec, train_side).items():
        if count < MIN_CLASS_ROWS:
            raise InsufficientDataError(
                f"not enough to train {spec.agent}: after holding out a fifth, label {label!r} has {count} examples "
                "left; label some more of it"
            )


def _per_label(spec: AgentSpec, dataset: Dataset) -> dict[str, int]:
    counts = np.bincount(dataset.label, minlength=len(spec.labels))
    return {label: int(count) for label, count in zip(spec.labels, counts, strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tuned:
    """What cross-validation chose."""

    method: Method
    settings: Mapping[str, float | int]
    temperature: float
    notes: tuple[str, ...]

    def fit(self, spec: AgentSpec, dataset: Dataset, seed: int) -> FittedLogistic | FittedTree:
        labels = len(spec.labels)
        if self.method is Method.LOGISTIC:
            return fit_logistic(dataset, spec.features, labels=labels, strength=self.settings["strength"])
        depth, leaf = int(self.settings["depth"]), int(self.settings["leaf"])
        return fit_tree(dataset, spec.features, labels=labels, depth=depth, leaf=leaf, seed=seed)


def _tune(spec: AgentSpec, train_side: Dataset, *, method: Method, seed: int) -> _Tuned:
    notes: tuple[str, ...] = ()
    if train_side.n > TUNING_ROWS:
        # Whole groups, drawn by hash: about as many rows as asked for.
        parts = max(2, round(train_side.n / TUNING_ROWS))
        train_side = train_side.take(np.flatnonzero(stratified_folds(train_side, folds=parts, seed=seed) == 0))
        notes = (f"settings were chosen on {train_side.n:,} of the training rows",)
    # More repeats where single folds are noisy, fewer where they are not.
    repeats = 3 if train_side.n < 200 else 2 if train_side.n <= 5_000 else 1
    folds = [stratified_folds(train_side, folds=FOLDS, seed=seed + repeat) for repeat in range(repeats)]
    settings: dict[str, float | int]
    if method is Method.LOGISTIC:
        strength, posterior, _ = cross_validate_logistic(
            train_side, spec.features, labels=len(spec.labels), folds=folds
        )
        settings = {"strength": strength}
    else:
        (depth, leaf), posterior, _ = cross_validate_tree(
            train_side, spec.features, labels=len(spec.labels), folds=folds, seed=seed
        )
        settings = {"depth": depth, "leaf": leaf}
    temperature = fit_temperature(posterior, train_side.label, train_side.weight)
    return _Tuned(method=method, settings=settings, temperature=temperature, notes=notes)


def _bundle(
    spec: AgentSpec,
    fitted: FittedLogistic | FittedTree,
    temperature: float,
    lineage: Lineage,
    dataset: Dataset | None = None,
    report: TrainingReport | None = None,
) -> Bundle:
    """The bundle of a fit; with `dataset` and `report` the final one, flip points and all."""
    features = []
    for feature, fill in zip(spec.features, fitted.design.fills, strict=True):
        features.append(feature.to_mapping() | ({} if fill is None else {"fill": fill}))
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "agent": spec.agent,
        "labels": list(spec.labels),
        "features": features,
        "policy": fitted.policy(temperature),
        "escalate_below": spec.escalate_below,
        "lineage": lineage.to_mapping(),
    }
    bundle = Bundle.from_document(document, spec=spec)
    if dataset is None or report is None:
        return bundle
    document["flip_points"] = flip_points(bundle, dataset)
    document["calibration"] = report.calibration()
    document["report"] = report.to_mapping()
    return Bundle.from_document(document, spec=spec)


def flip_points(bundle: Bundle, dataset: Dataset) -> list[dict[str, Any]]:
    """Per numeric feature, the value at which the choice changes while the others stay at their usual values.

    Searched within the values seen in `dataset`; a feature that never changes the choice says why.
    """
    evaluate = compile_posterior(bundle.policy, bundle.labels, bundle.features, bundle.fills)
    used = used_features(bundle.policy)
    points: list[dict[str, Any]] = []
    for index, feature in enumerate(bundle.features):
        if not feature.is_numeric:
            continue
        column = dataset.columns[feature.name]
        values = column[~np.isnan(column)]
        if feature.name not in used:
            reason = "the same in all examples" if len(values) and np.ptp(values) == 0 else "not used"
            points.append({"feature": feature.name, "value": None, "reason": reason})
            continue
        seen = (float(values.min()), float(values.max()))
        base: tuple[Value, ...] = bundle.fills
        point = flip_point(evaluate, bundle.policy, bundle.labels, bundle.features, base, index, seen)
        points.append(point.to_mapping())
    return points


def _against_majority(spec: AgentSpec, posterior: Floats, train_side: Dataset, held_out: Dataset) -> Comparison:
    heaviest = np.bincount(train_side.label, weights=train_side.weight, minlength=len(spec.labels)).argmax()
    constant = np.full(held_out.n, heaviest)
    name = f"always {spec.labels[int(heaviest)]}"
    return compare(name, chosen_labels(posterior), constant, held_out.label)


def _against_champion(
    spec: AgentSpec, posterior: Floats, held_out: Dataset, champion: Bundle, notes: list[str]
) -> Comparison:
    """The champion on the same held-out rows, whatever features and label order its own spec had."""
    declared = {feature.name: feature for feature in spec.features}
    columns: dict[str, npt.NDArray[Any]] = {}
    for feature in champion.features:
        known = declared.get(feature.name)
        if known is None or known.kind is not feature.kind:
            columns[feature.name] = np.full(held_out.n, np.nan)
            notes.append(f"the champion's feature {feature.name!r} is not in the spec any more and counted as unknown")
            continue
        column = held_out.columns[feature.name]
        if not feature.is_numeric:
            texts = np.array([*known.categories, None], dtype=object)
            column = texts[np.where(np.isnan(column), len(known.categories), column).astype(np.intp)]
        columns[feature.name] = column
    positions = [spec.labels.index(label) if label in spec.labels else -1 for label in champion.labels]
    chosen = np.array(positions)[chosen_labels(posterior_matrix(champion, columns))]
    if champion.lineage.examples_sha256 is not None:
        notes.append("the champion may have been trained on some of the held-out rows, which can only flatter it")
    return compare(f"champion {champion.sha256[:12]}", chosen_labels(posterior), chosen, held_out.label)
