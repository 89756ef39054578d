"""Who is held out: whole groups, the newest when times vary, so that no figure flatters the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from trimtab.core.training.examples import Dataset, Ints, mixed_with_seed

HELD_OUT_SHARE = 0.2
MIN_TIMES = 10
# A class needs this many rows on the training side of a split, or the split cannot teach it.
MIN_CLASS_ROWS = 2

Rows = npt.NDArray[np.intp]


class SplitKind(StrEnum):
    """How the held-out rows were chosen."""

    NEWEST = "newest"  # the newest groups: the figures look ahead, as serving does
    STRATIFIED = "stratified"  # groups at random, within each label


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Row positions on the two sides; no group is on both."""

    train: Rows
    held_out: Rows
    kind: SplitKind
    reason: str


def split_held_out(dataset: Dataset, *, labels: int, seed: int) -> Split:
    """About a fifth of the rows held out, by whole groups.

    The newest groups (by their latest row) when there are at least ten different times and every label that occurs
    stays on the training side; otherwise groups drawn at random within each label.
    """
    newest = _newest(dataset)
    if newest is None:
        reason = f"fewer than {MIN_TIMES} different times"
    else:
        left = np.bincount(dataset.label[~newest], minlength=labels)
        if (left >= MIN_CLASS_ROWS).all():
            return Split(
                train=np.flatnonzero(~newest),
                held_out=np.flatnonzero(newest),
                kind=SplitKind.NEWEST,
                reason="the newest groups, as in serving",
            )
        reason = "the older rows alone would lack a label"
    fold = stratified_folds(dataset, folds=round(1 / HELD_OUT_SHARE), seed=seed)
    return Split(
        train=np.flatnonzero(fold != 0), held_out=np.flatnonzero(fold == 0), kind=SplitKind.STRATIFIED, reason=reason
    )


def _newest(dataset: Dataset) -> npt.NDArray[np.bool_] | None:
    """A mask of the newest groups with about a fifth of the rows; None when times hardly vary."""
    n_groups = int(dataset.group.max()) + 1
    latest = np.full(n_groups, np.iinfo(np.int64).min)
    np.maximum.at(latest, dataset.group, dataset.at_us)
    name = np.zeros(n_groups, dtype=np.uint64)
    name[dataset.group] = dataset.group_hash
    order = np.lexsort((name, latest))[::-1]
    if 1 + np.count_nonzero(np.diff(latest[order])) < MIN_TIMES:
        return None
    size = np.bincount(dataset.group, minlength=n_groups)
    # Groups are taken from the newest on while they fit; at least one is.
    before = np.cumsum(size[order]) - size[order]
    chosen = np.zeros(n_groups, dtype=np.bool_)
    chosen[order[before < HELD_OUT_SHARE * dataset.n]] = True
    return np.asarray(chosen[dataset.group])


def stratified_folds(dataset: Dataset, *, folds: int, seed: int) -> Ints:
    """A fold number in 0..folds-1 per row: whole groups, spread evenly within each label, drawn by hash and seed.

    A group's label is the one most of its rows have. Large groups are dealt first, so folds come out of similar size.
    """
    n_groups = int(dataset.group.max()) + 1
    size = np.bincount(dataset.group, minlength=n_groups)
    counts = np.zeros((n_groups, int(dataset.label.max()) + 1), dtype=np.int64)
    np.add.at(counts, (dataset.group, dataset.label), 1)
    main = counts.argmax(axis=1)
    name = np.zeros(n_groups, dtype=np.uint64)
    name[dataset.group] = dataset.group_hash
    order = np.lexsort((mixed_with_seed(name, seed), -size, main))
    fold = np.empty(n_groups, dtype=np.int64)
    # Dealing on from label to label, and starting elsewhere by seed, keeps remainders from piling up in one fold.
    fold[order] = (np.arange(n_groups) + seed % folds) % folds
    return np.asarray(fold[dataset.group])
