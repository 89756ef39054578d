"""scikit-activeml's strategies as they are: which rows of a pool to label next. They say no probability of a choice."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
NAMES = ("margin", "CoreSet")  # Badge and TypiClust take seconds for each query of a pool of thousands


def installed() -> bool:
    """Whether scikit-activeml can be used."""
    return find_spec("skactiveml") is not None


def query(name: str, x: Floats, y: Rows, labelled: list[int], *, batch: int, rng: np.random.Generator) -> list[int]:
    """The next `batch` rows of the pool `x` (n, columns), of whose answers `y` only those of `labelled` are told."""
    known = np.full(len(y), np.nan)
    known[labelled] = y[labelled]
    seed = int(rng.integers(2**31))
    pool = import_module("skactiveml.pool")
    given: dict[str, Any] = {}
    if name == "margin":
        strategy = pool.UncertaintySampling(method="margin_sampling", random_state=seed)
        wrapper = import_module("skactiveml.classifier").SklearnClassifier
        given["clf"] = wrapper(LogisticRegression(max_iter=1000), classes=np.unique(y), random_state=seed)
    else:
        strategy = getattr(pool, name)(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about newer versions of scikit-learn
        found = strategy.query(x, known, batch_size=batch, **given)
    return [int(i) for i in found]
