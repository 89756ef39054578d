"""Verdicts in columns: what each judge said about each decision, how sure, how long ago.

Reliability, weights and consensus read the same columns, whether they came from ten verdicts or from ten million.
The right answers that they are held against are **human or gold labels only**: a label that judges made would let the
judges mark their own work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

from trimtab.errors import InvalidInputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

NO_LABEL = -1  # in arrays of label indices: nobody has answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One judge's label for one decision. `confidence` is in [0, 1], or None when the judge states none."""

    decision_id: str
    judge: str
    version: str
    label: str
    confidence: float | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class JudgeVersion:
    """A judge in one version of its model and rubric. Another version is another rater, with no past."""

    judge: str
    version: str

    def __str__(self) -> str:
        return f"{self.judge}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VerdictTable:
    """`n` verdicts in columns, all of shape (n,), over `decisions`, `judges` and `labels`.

    `item`, `judge` and `label` are indices into those tuples; `confidence` is nan where none was stated; `age_days` is
    the age at the moment of asking (≥ 0). One judge version has at most one verdict on a decision.
    """

    decisions: Sequence[str]
    judges: tuple[JudgeVersion, ...]
    labels: tuple[str, ...]
    item: IntArray
    judge: IntArray
    label: IntArray
    confidence: NDArray[np.float32]
    age_days: NDArray[np.float32]

    @property
    def n_items(self) -> int:
        return len(self.decisions)

    @property
    def n_labels(self) -> int:
        return len(self.labels)

    def __len__(self) -> int:
        return len(self.item)

    @classmethod
    def from_verdicts(cls, verdicts: Iterable[Verdict], *, labels: Sequence[str], at: datetime) -> Self:
        """The verdicts known at `at`, in columns; of several by one judge version on one decision the latest counts.

        A verdict dated after `at` (a clock ahead of ours) has age 0. Raises InvalidInputError for a label that is not
        in `labels` and for a confidence outside [0, 1].
        """
        label_index = {label: i for i, label in enumerate(labels)}
        latest: dict[tuple[str, str, str], Verdict] = {}
        for verdict in verdicts:
            if verdict.label not in label_index:
                raise InvalidInputError(
                    f"judge {verdict.judge!r} gave decision {verdict.decision_id!r} the label {verdict.label!r}; "
                    f"this agent's labels are {', '.join(labels)}"
                )
            key = (verdict.decision_id, verdict.judge, verdict.version)
            if key not in latest or latest[key].at < verdict.at:
                latest[key] = verdict
        kept = list(latest.values())
        decisions = tuple(dict.fromkeys(v.decision_id for v in kept))
        judges = tuple(sorted({JudgeVersion(judge=v.judge, version=v.version) for v in kept}))
        item_index = {decision: i for i, decision in enumerate(decisions)}
        judge_index = {(j.judge, j.version): i for i, j in enumerate(judges)}
        return cls.from_columns(
            decisions=decisions,
            judges=judges,
            labels=tuple(labels),
            item=[item_index[v.decision_id] for v in kept],
            judge=[judge_index[v.judge, v.version] for v in kept],
            label=[label_index[v.label] for v in kept],
            confidence=[np.nan if v.confidence is None else v.confidence for v in kept],
            age_days=[max(0.0, (at - v.at).total_seconds() / 86_400.0) for v in kept],
        )

    @classmethod
    def from_columns(
        cls,
        *,
        decisions: Sequence[str],
        judges: Sequence[JudgeVersion],
        labels: Sequence[str],
        item: ArrayLike,
        judge: ArrayLike,
        label: ArrayLike,
        confidence: ArrayLike | None = None,
        age_days: ArrayLike | None = None,
    ) -> Self:
        """A table from columns that are already indices (no confidence: none was stated; no age: all are fresh).

        Raises InvalidInputError when the columns differ in length, an index is out of range, a confidence is outside
        [0, 1], or an age is negative or not finite. That a judge version speaks once per decision is the caller's
        promise here.
        """
        items = np.asarray(item, dtype=np.int32).ravel()
        n = len(items)
        table = cls(
            decisions=decisions,
            judges=tuple(judges),
            labels=tuple(labels),
            item=items,
            judge=np.asarray(judge, dtype=np.int32).ravel(),
            label=np.asarray(label, dtype=np.int32).ravel(),
            confidence=np.full(n, np.nan, np.float32) if confidence is None else np.asarray(confidence, np.float32),
            age_days=np.zeros(n, np.float32) if age_days is None else np.asarray(age_days, np.float32),
        )
        if len(set(table.labels)) != len(table.labels) or len(table.labels) < 2:
            raise InvalidInputError("a verdict table needs at least two different labels")
        if len(set(table.judges)) != len(table.judges):
            raise InvalidInputError("a judge version is named twice in the table's judges")
        for name, bound in (("item", table.n_items), ("judge", len(table.judges)), ("label", table.n_labels)):
            column: IntArray = getattr(table, name)
            if len(column) != n:
                raise InvalidInputError(f"column {name!r} has {len(column)} rows, column 'item' has {n}")
            if n and (int(column.min()) < 0 or int(column.max()) >= bound):
                raise InvalidInputError(f"column {name!r} has an index outside 0..{bound - 1}")
        if len(table.confidence) != n or len(table.age_days) != n:
            raise InvalidInputError(f"columns 'confidence' and 'age_days' must have {n} rows")
        if n and (np.nanmin(table.confidence, initial=0.0) < 0 or np.nanmax(table.confidence, initial=1.0) > 1):
            raise InvalidInputError("a judge's confidence must be in [0, 1], or missing")
        if n and not (np.isfinite(table.age_days).all() and float(table.age_days.min()) >= 0):
            raise InvalidInputError("a verdict's age must be a finite number of days, 0 or more")
        return table

    def gold_of(self, human_labels: Mapping[str, str]) -> IntArray:
        """Label index per item, shape (n_items,), NO_LABEL where `human_labels` has no answer.

        Pass human and gold labels only. Raises InvalidInputError for a label that the agent does not have.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        gold = np.full(self.n_items, NO_LABEL, dtype=np.int32)
        for i, decision in enumerate(self.decisions):
            answer = human_labels.get(decision)
            if answer is None:
                continue
            if answer not in index:
                raise InvalidInputError(
                    f"decision {decision!r} has the human label {answer!r}; this agent's labels are "
                    f"{', '.join(self.labels)}"
                )
            gold[i] = index[answer]
        return gold

    def checked_gold(self, gold: ArrayLike) -> IntArray:
        """`gold` as integers of shape (n_items,); raises InvalidInputError for another shape or an unknown index."""
        answers = np.asarray(gold, dtype=np.int32)
        if answers.shape != (self.n_items,):
            raise InvalidInputError(f"gold labels have shape {answers.shape}, the table has {self.n_items} items")
        if answers.size and (int(answers.min()) < NO_LABEL or int(answers.max()) >= self.n_labels):
            raise InvalidInputError(f"a gold label index is outside {NO_LABEL}..{self.n_labels - 1}")
        return answers

    def one_hot(self, judges: Sequence[JudgeVersion] | None = None) -> scipy.sparse.csr_matrix:
        """Verdicts as a 0/1 matrix of shape (n_items, J·k): column j·k + c is 1 where judge j said label c.

        `judges` fixes the columns' order (default: the table's); verdicts of judges not named there are left out.
        """
        wanted = self.judges if judges is None else tuple(judges)
        place = {j: i for i, j in enumerate(wanted)}
        column_of = np.array([place.get(j, -1) for j in self.judges], dtype=np.int64)
        column = column_of[self.judge] if len(self) else np.zeros(0, np.int64)
        kept = column >= 0
        k = self.n_labels
        return scipy.sparse.csr_matrix(
            (np.ones(int(kept.sum())), (self.item[kept], column[kept] * k + self.label[kept])),
            shape=(self.n_items, len(wanted) * k),
        )

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """The same items, judges and labels with only those verdicts where `kept` (shape (n,)) is true."""
        return replace(
            self,
            item=self.item[kept],
            judge=self.judge[kept],
            label=self.label[kept],
            confidence=self.confidence[kept],
            age_days=self.age_days[kept],
        )

    def of_items(self, kept: NDArray[np.int64]) -> Self:
        """The table of the items `kept` (ascending indices) alone, with the same judges and labels."""
        place = np.full(self.n_items, -1, dtype=np.int32)
        place[kept] = np.arange(len(kept), dtype=np.int32)
        part = self.only(place[self.item] >= 0)
        return replace(part, decisions=[self.decisions[i] for i in kept.tolist()], item=place[part.item])
