"""Drawing questions: which recent decisions people are asked about, each with a known probability."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from trimtab.core.agents import AgentSpec
from trimtab.core.batch import columns_from_values, posterior_matrix
from trimtab.core.features import Value, compile_extractor, extract
from trimtab.core.judges.verdicts import FloatArray, IntArray
from trimtab.core.reviews import ReviewState, reviewers_for
from trimtab.core.rights import Actor
from trimtab.core.sampling import AskedFor, Sample, SamplingPlan, draw_sample, spread_order
from trimtab.core.uncertainty import Uncertainties, judge_disagreement, mean_confidence, uncertainties
from trimtab.services import evidence
from trimtab.services.context import Context, audit, bundle_of, seed_of, spec_of
from trimtab.services.judges import fit_consensus, judged_posterior, measure
from trimtab.store import events as event_store
from trimtab.store import reviews as review_store
from trimtab.store import settings as settings_store
from trimtab.store.engine import lock_name, writing

FIRST_LOOK_BACK = timedelta(days=7)
MAX_CANDIDATES = 50_000
DISCORDANT_PRIORITY = 2.0  # a live rollout waits for these


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingReport:
    """What a draw did: how many decisions it could have asked about, and how many it queued, by stratum."""

    agent: str
    candidates: int
    queued: int
    by_stratum: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is believed of decisions before anybody is asked.

    `consensus`: (n, k) the judges' posterior, NaN rows where none spoke. `favoured`: the label believed most, by the
    judges where they spoke, else by the serving policy; None where neither did.
    """

    consensus: FloatArray
    unsure: Uncertainties
    favoured: tuple[str | None, ...]


def draw_questions(
    context: Context,
    actor: Actor,
    agent: str,
    budget: int,
    discordant_quota: int,
    *,
    reviewers_wanted: int,
    double_share: float,
) -> SamplingReport:
    """Draw from the agent's decisions since the last draw and queue what was drawn, in one transaction."""
    at = context.now()
    switch = f"sampled_until/{agent}"
    with writing(context.engine) as connection:
        spec = spec_of(connection, agent)
        lock_name(connection, switch)  # two draws at once would ask about the same decisions with another chance
        until = settings_store.read(connection, switch)
        since = datetime.fromisoformat(until) if until else at - FIRST_LOOK_BACK
        rows = event_store.review_candidates(connection, agent, since=since, until=at, limit=MAX_CANDIDATES)
        seen = look(connection, spec, rows, at)
        _fold_judged(connection, spec, rows, seen.consensus)
        discordant = np.array([row.discordant for row in rows], dtype=bool)
        read = compile_extractor(spec.features)
        vectors = [read(row.payload, row.at).values for row in rows]
        quota = min(discordant_quota, int(discordant.sum()))
        sample = draw_sample(
            seen.unsure.score,
            SamplingPlan(budget=budget + quota, discordant_quota=quota),
            np.random.default_rng(seed_of("sample", agent, at.isoformat())),
            discordant=discordant,
            group=alike(vectors, discordant),
            spread=_spread(spec, vectors, seen.unsure.score),
        )
        _fold_inclusion(connection, rows, sample)
        items = _items(context, agent, rows, seen, sample, at)
        for item in items:
            item["reviewers_wanted"] = reviewers_for(
                agent, item["key"], wanted=reviewers_wanted, double_share=double_share
            )
        queued = review_store.enqueue(connection, items)
        settings_store.write(connection, switch, at.isoformat(), at=at, by=actor.name)
        by_stratum = {
            one.value: sum(item["id"] in queued and item["stratum"] == one.value for item in items) for one in AskedFor
        }
        details = {"candidates": len(rows), "queued": len(queued), **by_stratum}
        audit(connection, actor=actor, at=at, action="reviews.sample", subject=agent, details=details)
    return SamplingReport(agent=agent, candidates=len(rows), queued=len(queued), by_stratum=by_stratum)


def _items(
    context: Context, agent: str, rows: Sequence[Any], seen: Look, sample: Sample, at: datetime
) -> list[dict[str, Any]]:
    items = []
    for index, inclusion, stratum in zip(sample.index, sample.probability, sample.asked_for, strict=True):
        row, one = rows[index], seen.unsure[int(index)]
        items.append(
            {
                "id": context.new_id(),
                "agent": agent,
                "decision_id": row.id,
                "key": row.key,
                "state": ReviewState.OPEN.value,
                "stratum": stratum.value,
                "reasons": [reason.value for reason in one.reasons],
                "uncertainty": one.score,
                "inclusion": float(inclusion),
                "priority": one.score + (DISCORDANT_PRIORITY if stratum is AskedFor.DISCORDANT else 0.0),
                "rollout_id": row.rollout_id if row.discordant else None,
                "favoured": seen.favoured[int(index)],
                "claimed_by": None,
                "lease_until": None,
                "version": 1,
                "created_at": at,
                "updated_at": at,
            }
        )
    return items


def alike(vectors: Sequence[tuple[Value, ...]], discordant: Sequence[bool] | np.ndarray) -> IntArray:
    """(n,) a number that decisions with exactly equal features share, so that one of them is asked about.

    A discordant decision stands alone: the guard counts keys, and its bets shrink with the least inclusion probability,
    which a group of m would divide by m.
    """
    place: dict[Any, int] = {}
    return np.array(
        [
            place.setdefault(("alone", i) if differs else vector, i)
            for i, (vector, differs) in enumerate(zip(vectors, discordant, strict=True))
        ],
        dtype=np.int32,
    )


def _spread(spec: AgentSpec, vectors: Sequence[tuple[Value, ...]], score: FloatArray) -> FloatArray | None:
    """Where each decision lies along the spec's numeric features, unknown values at the median; None without any."""
    columns = columns_from_values(spec.features, vectors)
    numeric = [columns[feature.name] for feature in spec.features if feature.is_numeric]
    if not numeric:
        return None
    filled = []
    for column in numeric:
        known = ~np.isnan(column)
        middle = float(np.median(column[known])) if known.any() else 0.0
        filled.append(np.where(known, column, middle))
    return spread_order(np.stack(filled, axis=1), score)


def look(connection: Connection, spec: AgentSpec, rows: Sequence[Any], at: datetime) -> Look:
    """What is believed of decisions: by the consensus where judges spoke, else by the policy's own posterior."""
    k = len(spec.labels)
    if not rows:
        return Look(consensus=np.empty((0, k)), unsure=uncertainties(0), favoured=())
    measured = measure(connection, spec, at)
    judged = judged_posterior(connection, spec, fit_consensus(measured, spec), [row.id for row in rows], at)
    split, sure = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    if len(judged.table):
        worth = {(one.judge, one.version): one.agreement for one in measured.weights}
        accuracy = [worth.get((one.judge, one.version)) or 0.5 for one in judged.table.judges]
        known = judged.place >= 0
        split[known] = judge_disagreement(judged.table, accuracy)[judged.place[known]]
        sure[known] = mean_confidence(judged.table)[judged.place[known]]
    index = {label: i for i, label in enumerate(spec.labels)}
    own = _own_posterior(connection, spec, rows)
    unsure = uncertainties(
        len(rows),
        consensus=judged.posterior,
        policy=own,
        served=[index.get(row.label, -1) for row in rows],
        disagreement=split,
        confidence=sure,
    )
    believed = np.where(np.isnan(judged.posterior).any(axis=1, keepdims=True), own, judged.posterior)
    favoured = tuple(None if np.isnan(one).any() else spec.labels[int(one.argmax())] for one in believed)
    return Look(consensus=judged.posterior, unsure=unsure, favoured=favoured)


def _own_posterior(connection: Connection, spec: AgentSpec, rows: Sequence[Any]) -> FloatArray:
    """(n, k): what the serving policy believed of each decision; NaN where none served."""
    own = np.full((len(rows), len(spec.labels)), np.nan)
    by_bundle: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.bundle is not None:
            by_bundle[row.bundle].append(i)
    for sha256, places in sorted(by_bundle.items()):
        bundle = bundle_of(connection, sha256)
        if set(bundle.labels) != set(spec.labels):
            continue  # it served an earlier version of the spec
        vectors = [extract(bundle.features, rows[i].payload, at=rows[i].at).values for i in places]
        posterior = posterior_matrix(bundle, columns_from_values(bundle.features, vectors))
        own[places] = posterior[:, [bundle.labels.index(label) for label in spec.labels]]
    return own


def _fold_inclusion(connection: Connection, rows: Sequence[Any], sample: Sample) -> None:
    """How likely the least likely discordant key was to be asked about: the bets must know before the answer."""
    least: dict[str, float] = {}
    for row, inclusion in zip(rows, sample.inclusion.tolist(), strict=True):
        if row.discordant and row.rollout_id is not None and inclusion > 0:
            least[row.rollout_id] = min(inclusion, least.get(row.rollout_id, 1.0))
    for rollout_id, value in sorted(least.items()):
        evidence.fold_inclusion(connection, rollout_id, value)


def _fold_judged(connection: Connection, spec: AgentSpec, rows: Sequence[Any], consensus: FloatArray) -> None:
    """What the judges believe of a live rollout's decisions, before people answer."""
    by_rollout: dict[str, dict[str, tuple[Any, dict[str, float]]]] = defaultdict(dict)
    for row, posterior in zip(rows, consensus, strict=True):
        if row.rollout_id is not None and not np.isnan(posterior).any():
            believed = dict(zip(spec.labels, posterior.tolist(), strict=True))
            by_rollout[row.rollout_id][row.key] = (row, believed)
    for rollout_id, posteriors in sorted(by_rollout.items()):
        discordant = {key: one for key, one in posteriors.items() if one[0].discordant}
        evidence.fold_judged(connection, rollout_id, discordant)
        evidence.fold_judged_scores(connection, rollout_id, posteriors)
