"""Training: a readable bundle against scikit-learn's own pipelines on the same folds; copies; a million rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from bench.common import Report, load_features
from trimtab.core.agents import AgentSpec
from trimtab.core.batch import Floats, chosen_labels, posterior_matrix
from trimtab.core.bundles import Bundle
from trimtab.core.training import Comparison, Dataset, Method, train_dataset
from trimtab.core.training.logistic import STRENGTHS
from trimtab.core.training.metrics import brier_score, compare, expected_calibration_error, log_loss
from trimtab.core.training.splits import split_held_out, stratified_folds
from trimtab.core.training.tree import DEPTHS, LEAF_SIZES

TABLES = ("spambase", "spamassassin", "website_phishing_1353")
FOLDS = 5
Labels = NDArray[np.int64]
Learn = Callable[[Floats, Labels], Callable[[Floats], Floats]]  # rows and labels -> posterior of other rows


def spec_of(columns: int, labels: int) -> AgentSpec:
    """An agent whose features are plain numbers x0, x1, …"""
    names = [f"x{i}" for i in range(columns)]
    return AgentSpec.from_mapping(
        {
            "agent": "bench",
            "labels": [f"label-{i}" for i in range(labels)],
            "features": [{"name": name, "kind": "number"} for name in names],
        }
    )


def dataset_of(spec: AgentSpec, x: Floats, y: Labels) -> Dataset:
    """Rows as examples of the same age and weight, one key each."""
    n = len(y)
    return Dataset.from_columns(
        spec,
        {feature.name: x[:, i] for i, feature in enumerate(spec.features)},
        label=y.astype(np.intp),
        keys=[str(i) for i in range(n)],
        at_us=np.zeros(n, np.int64),
        weight=np.ones(n),
        inclusion=np.ones(n),
    )


def posterior_of(bundle: Bundle, x: Floats) -> Floats:
    """What a bundle says about rows (n, k)."""
    return posterior_matrix(bundle, {feature.name: x[:, i] for i, feature in enumerate(bundle.features)})


def ours(method: Method, labels: int) -> Learn:
    """Trimtab's training, from rows to the finished bundle: tuning, calibration, held-out report, flip points."""

    def learn(x: Floats, y: Labels) -> Callable[[Floats], Floats]:
        spec = spec_of(x.shape[1], labels)
        found = train_dataset(
            spec, dataset_of(spec, x, y), method=method, seed=0, champion=None, code_version="bench"
        ).bundle
        return lambda rows: posterior_of(found, rows)

    return learn


def theirs(model: Any) -> Learn:
    """A scikit-learn estimator, on one thread like ours."""

    def learn(x: Floats, y: Labels) -> Callable[[Floats], Floats]:
        with threadpool_limits(limits=1):
            fitted = model.fit(x, y)
        return lambda rows: np.asarray(fitted.predict_proba(rows))

    return learn


def learners(labels: int) -> dict[str, Learn]:
    """Ours, and what a user would write: the plain pipeline, and the one tuned over the very same grid."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": list(STRENGTHS)}
    shapes = {"max_depth": list(DEPTHS), "min_samples_leaf": list(LEAF_SIZES)}
    tree = DecisionTreeClassifier(random_state=0)
    return {
        "Trimtab logistic": ours(Method.LOGISTIC, labels),
        "scikit-learn logistic, C = 1": theirs(plain),
        "scikit-learn logistic, grid search": theirs(GridSearchCV(plain, grid, cv=folds, scoring="neg_log_loss")),
        "Trimtab tree": ours(Method.TREE, labels),
        "scikit-learn tree, grid search": theirs(GridSearchCV(tree, shapes, cv=folds, scoring="neg_log_loss")),
        "scikit-learn tree, unlimited": theirs(tree),
    }


def copies(x: Floats) -> Labels:
    """The same number for rows that are exact copies of each other, (n,)."""
    return np.asarray(np.unique(x, axis=0, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def out_of_fold(learn: Learn, x: Floats, y: Labels, folds: list[Any]) -> tuple[Floats, float]:
    """Posterior of every row from a model that did not see it (nor a copy of it), and the seconds of all fits."""
    posterior, seconds = np.zeros((len(y), int(y.max()) + 1)), 0.0
    for inside, outside in folds:
        start = time.perf_counter()
        predict = learn(x[inside], y[inside])
        seconds += time.perf_counter() - start
        posterior[outside] = predict(x[outside])
    return posterior, seconds


def points(c: Comparison) -> str:
    """A difference in accuracy with its interval, in points."""
    low, high = c.interval
    return f"{100 * c.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def real_tables(report: Report, tables: Sequence[str]) -> None:
    """Five folds in which copies stay together, the same for everybody."""
    rows: list[list[Any]] = []
    pairs = {"Trimtab logistic": "scikit-learn logistic, grid search", "Trimtab tree": "scikit-learn tree, grid search"}
    for name in tables:
        x, y = load_features(name)
        folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(x, y, copies(x)))
        found = {who: out_of_fold(learn, x, y, folds) for who, learn in learners(int(y.max()) + 1).items()}
        for mine, rival in pairs.items():
            (p, seconds), (q, their_seconds) = found[mine], found[rival]
            compared = compare(rival, chosen_labels(p), chosen_labels(q), y)
            kind = mine.removeprefix("Trimtab ")
            report.at_least(f"{name}, {kind}: accuracy minus scikit-learn's", compared.difference, -0.01)
            report.at_most(f"{name}, {kind}: log loss over scikit-learn's", log_loss(p, y) / log_loss(q, y), 1.02)
            # Under one hundredth, differences of two such estimates are noise on sets of this size.
            gap = expected_calibration_error(p, y) - expected_calibration_error(q, y)
            report.at_most(f"{name}, {kind}: ECE minus scikit-learn's", gap, 0.01)
            report.at_most(f"{name}, {kind}: seconds over scikit-learn's grid search", seconds / their_seconds, 2.0)
        for who, (p, seconds) in found.items():
            kind = "Trimtab tree" if "tree" in who else "Trimtab logistic"
            against = None if who == kind else points(compare(who, chosen_labels(found[kind][0]), chosen_labels(p), y))
            figures = (float((chosen_labels(p) == y).mean()), log_loss(p, y), brier_score(p, y))
            rows.append([name, who, *figures, expected_calibration_error(p, y), seconds / FOLDS, against])
    report.table(
        f"Real tables, {FOLDS} folds, copies never on both sides; every figure is of rows that the model did not see",
        ["data", "who", "accuracy", "log loss", "Brier", "ECE", "seconds a fit", "ours minus theirs, points (95 %)"],
        rows,
    )


def duplicates(report: Report) -> None:
    """What copies on both sides of a split do to a model that can learn by heart, and that our split has none."""
    rows, shared = [], 0
    for name in TABLES:
        x, y = load_features(name)
        copy = copies(x)
        tree = theirs(DecisionTreeClassifier(random_state=0))
        plain = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y))
        apart = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(x, y, copy))
        told = [float((chosen_labels(out_of_fold(tree, x, y, f)[0]) == y).mean()) for f in (plain, apart)]
        data = dataset_of(spec_of(x.shape[1], int(y.max()) + 1), x, y)
        split = split_held_out(data, labels=int(y.max()) + 1, seed=0)
        values = np.column_stack(list(data.columns.values()))
        number = copies(values)
        shared += len(np.intersect1d(number[split.train], number[split.held_out]))
        for fold in (stratified_folds(data, folds=FOLDS, seed=0) == i for i in range(FOLDS)):
            shared += len(np.intersect1d(number[fold], number[~fold]))
        repeated = 1 - len(np.unique(copy)) / len(y)
        rows.append([name, f"{100 * repeated:.1f} %", *told, told[0] - told[1]])
    report.target("copies on both sides of our splits and folds, all tables", shared, "0", shared == 0)
    report.table(
        "An unlimited tree, by how the folds treat exact copies",
        [
            "data",
            "rows that repeat another",
            "told with copies on both sides",
            "told with copies together",
            "flattered",
        ],
        rows,
    )


def a_million_rows(report: Report, quick: bool) -> None:
    """Seconds from columns to the finished bundle, beside the bare fit of scikit-learn on the same arrays."""
    n = 100_000 if quick else 1_000_000
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 7))
    y = (x @ rng.normal(size=7) + rng.logistic(size=n) > 0).astype(np.int64)
    with threadpool_limits(limits=1):
        start = time.perf_counter()
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
        bare = time.perf_counter() - start
    spec = spec_of(7, 2)
    start = time.perf_counter()
    data = dataset_of(spec, x, y)
    loaded = time.perf_counter() - start
    start = time.perf_counter()
    bundle = train_dataset(spec, data, method=Method.LOGISTIC, seed=0, champion=None, code_version="bench").bundle
    trained = time.perf_counter() - start
    chosen, rival = chosen_labels(posterior_of(bundle, x)), model.predict(x)
    gap, alike = float((chosen == y).mean() - (rival == y).mean()), float((chosen == rival).mean())
    report.at_most(f"{n:,} rows of 7 numbers: seconds from columns to a tuned, checked bundle", loaded + trained, 10.0)
    report.at_least(f"{n:,} rows of 7 numbers: accuracy minus that of scikit-learn's fit", gap, -0.001)
    report.note(
        f"On the {n:,} rows the bundle chooses as scikit-learn's fit does on {100 * alike:.2f} %: it is tuned and "
        "clamps the far tails, so rows next to the boundary may fall on the other side."
    )
    report.note(
        "The limits of this page's comparisons with scikit-learn are its own: nobody else has stated any. They say how "
        "much worse than the tuned rival would be a reason to change the training."
    )
    report.table(
        f"{n:,} rows of 7 numbers, one core",
        ["step", "seconds", "times the bare fit"],
        [
            ["scikit-learn: standardise and fit once, C = 1", bare, 1.0],
            ["Trimtab: hash, group and sort the examples", loaded, loaded / bare],
            ["Trimtab: split, tune, calibrate, report, fit twice, flip points", trained, trained / bare],
        ],
    )


def run(quick: bool) -> dict[str, Any]:
    """Every promise about training; a quick run leaves out the widest table and most of the million rows."""
    report = Report("training")
    real_tables(report, TABLES[1:] if quick else TABLES)
    duplicates(report)
    a_million_rows(report, quick)
    return report.result()
