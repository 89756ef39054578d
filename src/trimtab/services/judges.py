"""Judges: what their verdicts are worth, measured against people, and what they say together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Connection

from trimtab.core.agents import AgentSpec
from trimtab.core.judges.consensus import ConsensusChoice, FittedConsensus, choose_consensus
from trimtab.core.judges.reliability import HALF_LIFE_DAYS, LOOK_BACK_DAYS, ReliabilitySummary, summarise
from trimtab.core.judges.snapshots import consensus_snapshot, judge_recalibration, judge_snapshot
from trimtab.core.judges.verdicts import FloatArray, IntArray, JudgeVersion, Verdict, VerdictTable
from trimtab.core.judges.weights import JudgeWeight, judge_weights
from trimtab.core.labels import INDEPENDENT_SOURCES, MergedLabel, merge_labels
from trimtab.core.rights import Actor, Right
from trimtab.errors import NotFoundError
from trimtab.services.context import Context, audit, seed_of, spec_of
from trimtab.store import agents as agent_store
from trimtab.store import events as event_store
from trimtab.store import labels as label_store
from trimtab.store import reliability as reliability_store
from trimtab.store.engine import reading, writing

CHOICE_ITEMS = 500  # answered decisions that the choice of a consensus is made on
MOST_SURVEY_WEIGHT = 20.0  # an answer drawn with probability below 1/20 speaks for at most 20 decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The verdicts that people's answers can be compared with, and what came of the comparison."""

    table: VerdictTable
    gold: Any  # (n_items,) label index of the human answer
    survey_weight: list[float]
    summary: ReliabilitySummary
    weights: tuple[JudgeWeight, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often a consensus is right where people answered; None where nothing could be compared."""

    method: str
    accuracy: float | None
    interval: tuple[float, float] | None
    n: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReport:
    """One judge: each version's newest snapshot, the newest version first, and all snapshots in the order of time."""

    agent: str
    judge: str
    versions: tuple[Any, ...]
    history: tuple[Any, ...]


class Judges:
    """Raters of decisions and what they are worth."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def update_weights(self, actor: Actor, *, agent: str | None = None) -> dict[str, tuple[JudgeWeight, ...]]:
        """Measure every judge against people and keep a dated snapshot. Twice at the same moment changes nothing."""
        actor.require(Right.RUN_JOBS)
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            agents = [agent] if agent else [row.agent for row in agent_store.newest_specs(connection)]
        return {one: self._update(actor, one) for one in agents}

    def _update(self, actor: Actor, agent: str) -> tuple[JudgeWeight, ...]:
        at = self._context.now()
        with writing(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            measured = measure(connection, spec, at)
            before = reliability_store.newest(connection, agent)
            for weight in measured.weights:
                snapshot = _snapshot(measured, weight, spec, before)
                reliability_store.add(
                    connection,
                    agent=agent,
                    judge=weight.judge,
                    version=weight.version,
                    at=at,
                    weight=weight.weight,
                    unproven=weight.unproven,
                    n=weight.n,
                    snapshot=snapshot,
                )
            if measured.weights:
                choice = fit_consensus(measured, spec)
                reliability_store.add_consensus(
                    connection,
                    agent=agent,
                    at=at,
                    name=choice.name,
                    n=choice.n_labels,
                    accuracy=choice.accuracy,
                    snapshot=consensus_snapshot(choice),
                )
                details = {f"{one.judge}@{one.version}": one.weight for one in measured.weights}
                audit(connection, actor=actor, at=at, action="judges.update_weights", subject=agent, details=details)
            return measured.weights

    def weights(self, actor: Actor, agent: str) -> list[Any]:
        """Each judge version's newest snapshot."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return reliability_store.newest(connection, agent)

    def history(self, actor: Actor, agent: str, *, judge: str | None = None) -> list[Any]:
        """All snapshots in the order of time."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return reliability_store.history(connection, agent, judge=judge)

    def show(self, actor: Actor, agent: str, judge: str) -> JudgeReport:
        """Everything known of one judge (NAME or NAME@VERSION). Raises NotFoundError naming the judges there are."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            newest = reliability_store.newest(connection, agent)
            mine = [row for row in newest if judge in (row.judge, f"{row.judge}@{row.version}")]
            if not mine:
                known = ", ".join(sorted({row.judge for row in newest}))
                way_out = f"measured are {known}" if known else f"measure with: trimtab judges update --agent {agent}"
                raise NotFoundError(f"judge {judge[:80]!r} of {agent} was never measured; {way_out}")
            name = mine[0].judge
            history = reliability_store.history(connection, agent, judge=name)
        started = {row.version: row.at for row in reversed(history)}
        versions = {row.version for row in mine}
        return JudgeReport(
            agent=agent,
            judge=name,
            versions=tuple(sorted(mine, key=lambda row: (started[row.version], row.version), reverse=True)),
            history=tuple(row for row in history if row.version in versions),
        )

    def consensus(self, actor: Actor, agent: str) -> Any | None:
        """The newest snapshot of the consensus in use; None before judges were measured."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return next(iter(reliability_store.consensus_history(connection, agent, newest=1)), None)

    def consensus_history(self, actor: Actor, agent: str) -> list[Any]:
        """Which consensus was in use when, newest first."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return reliability_store.consensus_history(connection, agent)

    def agreement(self, actor: Actor, agent: str) -> list[Agreement]:
        """How often the agent's consensus is right on human answers held out from it, beside the majority vote."""
        actor.require(Right.READ)
        at = self._context.now()
        with reading(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            choice = fit_consensus(measure(connection, spec, at), spec)
        return [
            Agreement(
                method=choice.name,
                accuracy=choice.accuracy,
                interval=choice.interval,
                n=choice.n_labels,
                reason=choice.reason,
            ),
            Agreement(
                method="majority vote",
                accuracy=choice.majority_accuracy,
                interval=None,
                n=choice.n_labels,
                reason="always reported beside it",
            ),
        ]


def _snapshot(measured: Measured, weight: JudgeWeight, spec: AgentSpec, before: Sequence[Any]) -> dict[str, Any]:
    """What is kept of one judge version. `before`: the newest snapshots so far, of all judges."""
    judge = JudgeVersion(judge=weight.judge, version=weight.version)
    recalibration = judge_recalibration(measured.table, measured.gold, judge, survey_weight=measured.survey_weight)
    others = [row for row in before if row.judge == judge.judge and row.version != judge.version]
    earlier = [{**row.snapshot, "version": row.version} for row in sorted(others, key=lambda row: row.at)]
    return judge_snapshot(weight, measured.summary.judges[judge], recalibration, labels=spec.labels, earlier=earlier)


def measure(connection: Connection, spec: AgentSpec, at: datetime) -> Measured:
    """Compare recent verdicts with independent human answers: gold and reviews, never what judges said themselves.

    Approvals and thumbs are left out: they are anchored on the served choice and would reward a judge that flatters.
    Answers that were drawn speak for 1/π decisions each. Ages are taken at the end of the day: all verdicts lose the
    same share by it, and what was measured once need not be measured again before something new arrives.
    """
    at = datetime.combine(at.date(), time(0), tzinfo=at.tzinfo) + timedelta(days=1)
    since = at - timedelta(days=LOOK_BACK_DAYS)
    answers = merge_labels(
        label_store.of_agent(connection, spec.agent, sources=INDEPENDENT_SOURCES), possible=spec.labels
    )
    rows = event_store.answered_verdicts(connection, spec.agent, since=since, until=at)
    known = event_store.judges_of(connection, spec.agent, since=since)
    table, keys = verdict_table(rows, spec, at, judges=[JudgeVersion(judge=one[0], version=one[1]) for one in known])
    gold = table.gold_of({decision: answers[key].label for decision, key in keys.items() if key in answers})
    survey = [_survey_weight(answers.get(keys[decision])) for decision in table.decisions]
    summary = summarise(table, gold, half_life_days=HALF_LIFE_DAYS, look_back_days=LOOK_BACK_DAYS, survey_weight=survey)
    return Measured(table=table, gold=gold, survey_weight=survey, summary=summary, weights=judge_weights(summary))


def _survey_weight(answer: MergedLabel | None) -> float:
    return 1.0 if answer is None else min(1.0 / answer.inclusion, MOST_SURVEY_WEIGHT)


def verdict_table(
    rows: Sequence[Any], spec: AgentSpec, at: datetime, *, judges: Sequence[JudgeVersion] = ()
) -> tuple[VerdictTable, Mapping[str, str]]:
    """Stored verdicts as columns, each judge version's newest word on a decision; and decision id -> key."""
    newest: dict[tuple[str, str, str], Any] = {}
    keys: dict[str, str] = {}
    for row in rows:
        newest[row.decision_id, row.judge, row.version] = row
        keys[row.decision_id] = getattr(row, "key", row.decision_id)
    verdicts = [
        Verdict(
            decision_id=row.decision_id,
            judge=row.judge,
            version=row.version,
            label=row.label,
            confidence=row.confidence,
            at=min(row.at, at),
        )
        for row in newest.values()
        if row.label in spec.labels
    ]
    table = VerdictTable.from_verdicts(verdicts, labels=spec.labels, at=at)
    silent = [one for one in judges if one not in table.judges]  # they judged, but nothing that people answered
    return replace(table, judges=(*table.judges, *silent)), keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the judges together believe of n decisions. `posterior`: (n, k), NaN rows where none spoke; `place`: (n,)
    the decision's row in `table`, -1 where there is none."""

    posterior: FloatArray
    place: IntArray
    table: VerdictTable


def judged_posterior(
    connection: Connection, spec: AgentSpec, fitted: FittedConsensus, decision_ids: Sequence[str], at: datetime
) -> Judged:
    """The consensus of the stored verdicts on the given decisions."""
    table, _ = verdict_table(event_store.verdicts_of(connection, decision_ids), spec, at)
    known = {decision: i for i, decision in enumerate(table.decisions)}
    place = np.array([known.get(one, -1) for one in decision_ids], dtype=np.int32)
    posterior = np.full((len(decision_ids), len(spec.labels)), np.nan)
    if len(table):
        posterior[place >= 0] = fitted.posterior(table)[place[place >= 0]]
    return Judged(posterior=posterior, place=place, table=table)


class _Panel:
    """A panel of verdicts with people's answers, equal to another one when everything in it is."""

    __slots__ = ("_digest", "agent", "measured")

    def __init__(self, measured: Measured, agent: str) -> None:
        self.measured, self.agent = measured, agent
        table = measured.table
        digest = hashlib.sha256(repr((agent, table.judges, table.labels, len(table.decisions))).encode())
        for column in (table.item, table.judge, table.label, table.confidence, table.age_days, measured.gold):
            digest.update(np.ascontiguousarray(column).tobytes())
        digest.update(np.asarray(measured.survey_weight, dtype=np.float64).tobytes())
        self._digest = digest.digest()

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Panel) and other._digest == self._digest


@lru_cache(maxsize=8)  # the nightly jobs choose from the same verdicts and answers one after the other
def _chosen(panel: _Panel) -> ConsensusChoice:
    return choose_consensus(
        panel.measured.table,
        panel.measured.gold,
        np.random.default_rng(seed_of("consensus", panel.agent)),
        survey_weight=panel.measured.survey_weight,
        max_items=CHOICE_ITEMS,
    )


def fit_consensus(measured: Measured, spec: AgentSpec) -> ConsensusChoice:
    """The agent's consensus, chosen by human answers held out from it; never silently worse than majority vote."""
    return _chosen(_Panel(measured, spec.agent))
