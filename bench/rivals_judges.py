"""crowd-kit's aggregators on our panels: what a user would pick to merge many verdicts into one answer."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from bench._panels import Panel

NAMES = ("MajorityVote", "Wawa", "ZeroBasedSkill", "DawidSkene", "OneCoinDawidSkene", "MACE", "GLAD", "MMSR", "KOS")
QUICK = ("MajorityVote", "Wawa", "DawidSkene")  # the others take seconds a panel
LARGEST = {"GLAD": 3_000, "MACE": 3_000}  # verdicts: beyond it, half a minute and more for each panel


def aggregators(panel: Panel, *, names: tuple[str, ...] = NAMES) -> dict[str, float | None]:
    """Accuracy of each aggregator on all items of a panel, against the human labels; they use no human label.

    None where crowd-kit is not installed, does not apply (KOS: two labels only), fails, or would take minutes.
    """
    if not find_spec("crowdkit"):
        return dict.fromkeys(names)
    frame = import_module("pandas").DataFrame(
        {"task": panel.table.item, "worker": panel.table.judge, "label": panel.table.label}
    )
    return {name: _accuracy(name, frame, panel) for name in names}


def _accuracy(name: str, frame: Any, panel: Panel) -> float | None:
    if len(frame) > LARGEST.get(name, len(frame)) or (name == "KOS" and len(panel.table.labels) != 2):
        return None
    aggregate = getattr(import_module("crowdkit.aggregation"), name)
    if not hasattr(aggregate, "__sklearn_tags__"):
        # Theirs were written for scikit-learn before 1.6, which now asks every estimator for its tags.
        aggregate.__sklearn_tags__ = lambda _: BaseEstimator().__sklearn_tags__()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, about divisions and versions
            np.random.seed(0)  # theirs draw from the global generator
            found = aggregate().fit_predict(frame)
    except (ArithmeticError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        print(f"crowd-kit {name} on {panel.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    answer = found.reindex(range(panel.table.n_items)).to_numpy()
    return float((answer == panel.gold).mean())
