"""Replay: running two bundles over an agent's logged decisions before anybody is exposed to the new one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from trimtab.core.agents import AgentSpec
from trimtab.core.batch import columns_from_values
from trimtab.core.bundles import Bundle
from trimtab.core.features import compile_extractor
from trimtab.core.judges.consensus import FittedConsensus
from trimtab.core.labels import INDEPENDENT_SOURCES, MergedLabel, merge_labels
from trimtab.core.replay import ReplaySummary, Slicing, replay_batch
from trimtab.core.rights import Actor, Right
from trimtab.errors import ConflictError, InvalidInputError
from trimtab.services.bundles import named_bundle
from trimtab.services.context import Context, pointer_of, spec_of
from trimtab.services.judges import fit_consensus, judged_posterior, measure
from trimtab.store import bundles as bundle_store
from trimtab.store import events as event_store
from trimtab.store import labels as label_store
from trimtab.store.engine import reading

BATCH = 5_000
EXAMPLES = 10  # of each kind
_CONDITION = re.compile(r"^\s*([A-Za-z_][\w.-]*)\s*(<=|>|=)\s*(.+?)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A logged decision on which the two bundles choose differently. `answer` is a person's, where one is known."""

    decision_id: str
    key: str
    before: str
    after: str
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Two bundles on the same logged decisions."""

    agent: str
    champion: str
    challenger: str
    since: datetime | None
    until: datetime | None
    where: str | None
    summary: ReplaySummary
    worse: tuple[Flip, ...]  # a person says that the champion was right
    better: tuple[Flip, ...]  # a person says that the challenger is right
    unlabelled: tuple[Flip, ...]
    answers_left_out: int  # keys whose answer the bundles may have learned from: they prove nothing here
    cost_change_usd: float | None  # expected per decision, from the mean cost of each label; None when not measured

    def to_mapping(self) -> dict[str, Any]:
        """The replay as plain JSON data, for proposals, pages and pipes."""
        return {
            "agent": self.agent,
            "champion": self.champion,
            "challenger": self.challenger,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "where": self.where,
            **self.summary.to_mapping(),
            "answers_left_out": self.answers_left_out,
            "cost_change_usd": self.cost_change_usd,
            "examples": {
                kind: [{name: getattr(flip, name) for name in Flip.__slots__} for flip in getattr(self, kind)]
                for kind in ("worse", "better", "unlabelled")
            },
        }


class Replays:
    """Looking back before going forward."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def run(
        self,
        actor: Actor,
        agent: str,
        challenger: str,
        *,
        against: str = "champion",
        since: datetime | None = None,
        until: datetime | None = None,
        where: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Replay:
        """Run `challenger` and `against` over logged decisions, in batches of flat memory.

        `where` keeps one slice: "feature <= 3", "feature > 3" or "feature = value". `progress` hears how many decisions
        are done. Raises ConflictError when there is nothing to compare with.
        """
        actor.require(Right.READ)
        keep = _condition(where) if where else None
        with reading(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            if against == "champion" and pointer_of(connection, agent).champion is None:
                raise ConflictError(f"{agent} has no champion to compare with; name another bundle with --against")
            before = named_bundle(connection, against, agent=agent)
            after = named_bundle(connection, challenger, agent=agent)
            fold = _Fold(connection, spec, before, after, self._context.now(), keep)
            for rows in event_store.decision_batches(connection, agent, since=since, until=until, size=BATCH):
                fold.add(rows)
                if progress is not None:
                    progress(len(rows))
            costs = event_store.mean_costs(connection, agent, since=since, until=until)
        return Replay(
            agent=agent,
            champion=before.sha256,
            challenger=after.sha256,
            since=since,
            until=until,
            where=where,
            summary=fold.summary,
            worse=tuple(fold.flips["worse"]),
            better=tuple(fold.flips["better"]),
            unlabelled=tuple(fold.flips["unlabelled"]),
            answers_left_out=fold.answers_left_out,
            cost_change_usd=_cost_change(fold.summary, costs),
        )


def _trained_at(connection: Connection, bundle: Bundle) -> datetime | None:
    """When a bundle that learned from examples was stored; None for one that somebody wrote by hand."""
    if bundle.lineage.examples_sha256 is None:
        return None
    rows = bundle_store.by_prefix(connection, bundle.sha256)
    return rows[0].created_at if rows else None


class _Fold:
    """Batches of stored decisions on their way into one summary."""

    def __init__(
        self,
        connection: Connection,
        spec: AgentSpec,
        before: Bundle,
        after: Bundle,
        at: datetime,
        keep: Callable[[Mapping[str, Any]], bool] | None,
    ) -> None:
        self.summary = ReplaySummary.empty(spec.labels)
        self.flips: dict[str, list[Flip]] = {"worse": [], "better": [], "unlabelled": []}
        self._connection, self._spec, self._bundles, self._at, self._keep = connection, spec, (before, after), at, keep
        # The spec's features and whatever else the two bundles read.
        named = {one.name: one for one in (*before.features, *after.features, *spec.features)}
        self._features = tuple(named.values())
        self._extract = compile_extractor(self._features)
        known = label_store.of_agent(connection, spec.agent, sources=INDEPENDENT_SOURCES)
        # A trained bundle has seen the answers that were there when it was trained: they would only flatter it.
        trained = [_trained_at(connection, one) for one in (before, after)]
        newest = max((at for at in trained if at is not None), default=None)
        unseen = (
            label_store.of_agent(connection, spec.agent, sources=INDEPENDENT_SOURCES, stored_after=newest)
            if newest is not None
            else known
        )
        fresh = set(unseen)
        seen = {one.key for one in known if one not in fresh}
        self._answers: dict[str, MergedLabel] = merge_labels(
            [one for one in unseen if one.key not in seen], possible=spec.labels
        )
        self.answers_left_out = len(seen)
        self._answered: set[str] = set()  # each key's answer counts once
        measured = measure(connection, spec, at)
        self._consensus: FittedConsensus | None = fit_consensus(measured, spec) if len(measured.table) else None
        self._slicing: Slicing | None = None

    def add(self, rows: Sequence[Any]) -> None:
        vectors = [self._extract(row.payload, row.at).values for row in rows]
        if self._keep is not None:
            names = [feature.name for feature in self._features]
            kept = [i for i, one in enumerate(vectors) if self._keep(dict(zip(names, one, strict=True)))]
            rows, vectors = [rows[i] for i in kept], [vectors[i] for i in kept]
        if not rows:
            return
        columns = columns_from_values(self._features, vectors)
        if self._slicing is None:
            self._slicing = Slicing.of(self._spec.features, columns)
        answers, inclusion = self._known(rows)
        batch, before, after = replay_batch(
            *self._bundles,
            columns,
            labels=self._spec.labels,
            slicing=self._slicing,
            answers=answers,
            inclusion=inclusion,
            judged=self._judged(rows),
        )
        self.summary = self.summary.merge(batch)
        for i in np.flatnonzero(before != after).tolist():
            self._note(rows[i], int(before[i]), int(after[i]))

    def _known(self, rows: Sequence[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        answers, inclusion = np.full(len(rows), -1, dtype=np.int64), np.ones(len(rows))
        place = {label: i for i, label in enumerate(self._spec.labels)}
        for i, row in enumerate(rows):
            answer = self._answers.get(row.key)
            if answer is not None and row.key not in self._answered:
                self._answered.add(row.key)
                answers[i], inclusion[i] = place[answer.label], answer.inclusion
        return answers, inclusion

    def _judged(self, rows: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        if self._consensus is None:
            return None
        ids = [row.id for row in rows]
        return judged_posterior(self._connection, self._spec, self._consensus, ids, self._at).posterior

    def _note(self, row: Any, before: int, after: int) -> None:
        labels = self._spec.labels
        answer = self._answers.get(row.key)
        kind = "unlabelled"
        if answer is not None:
            kind = {labels[before]: "worse", labels[after]: "better"}.get(answer.label, "unlabelled")
        if len(self.flips[kind]) < EXAMPLES:
            flip = Flip(
                decision_id=row.id,
                key=row.key,
                before=labels[before],
                after=labels[after],
                answer=answer.label if answer else None,
            )
            self.flips[kind].append(flip)


def _cost_change(summary: ReplaySummary, costs: Mapping[str, float]) -> float | None:
    if not summary.compared or not costs or any(label not in costs for label in summary.labels):
        return None
    per_label = np.array([costs[label] for label in summary.labels])
    matrix = np.array(summary.matrix)
    return float(((matrix.sum(axis=0) - matrix.sum(axis=1)) * per_label).sum() / summary.compared)


def _condition(text: str) -> Callable[[Mapping[str, Any]], bool]:
    match = _CONDITION.match(text)
    if match is None:
        raise InvalidInputError(
            f"where: write FEATURE <= NUMBER, FEATURE > NUMBER or FEATURE = VALUE, got {text[:80]!r}"
        )
    name, operator, wanted = match.groups()
    if operator == "=":
        return lambda values: name in values and _same(values[name], wanted)
    try:
        limit = float(wanted)
    except ValueError:
        raise InvalidInputError(f"where: {operator} needs a number, got {wanted[:60]!r}") from None
    if operator == "<=":
        return lambda values: values.get(name) is not None and values[name] <= limit
    return lambda values: values.get(name) is not None and values[name] > limit


def _same(value: Any, wanted: str) -> bool:
    if value is None:
        return wanted == "unknown"
    try:
        return bool(value == float(wanted))
    except ValueError:
        return bool(value == wanted)
