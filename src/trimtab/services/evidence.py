"""Folding what arrives into a rollout's mergeable summaries, in the transaction that stores it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from trimtab.core.assignment import Arm
from trimtab.core.evidence.outcomes import KeySums, Outcome, StepSummary
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.guard import RolloutEvidence
from trimtab.core.rollouts import ScoreSource
from trimtab.store import events as event_store
from trimtab.store import rollouts as rollout_store
from trimtab.store.reviews import ReviewItem
from trimtab.store.rollouts import Rollout

PAIRED = "paired"
JUDGED = "judged"  # among a key's sums: what judges believed of its served label


def step_part(step: int) -> str:
    return f"step/{step}"


def read(connection: Connection, rollout: Rollout) -> RolloutEvidence:
    """Everything that the guard looks at."""
    parts = rollout_store.evidence(connection, rollout.id)
    evidence = RolloutEvidence()
    if PAIRED in parts:
        evidence = evidence.with_paired(PairedSummary.from_mapping(parts[PAIRED]))
    for step in range(len(rollout.plan.steps)):
        if step_part(step) in parts:
            evidence = evidence.with_step(step, StepSummary.from_mapping(parts[step_part(step)]))
    return evidence


def _paired(parts: dict[str, dict[str, Any]], rollout: Rollout) -> PairedSummary:
    if PAIRED in parts:
        return PairedSummary.from_mapping(parts[PAIRED])
    return PairedSummary(planned_inclusion=rollout.plan.label_inclusion)


def _step(parts: dict[str, dict[str, Any]], step: int) -> StepSummary:
    part = step_part(step)
    return StepSummary.from_mapping(parts[part]) if part in parts else StepSummary()


def choices_of(decision: Any) -> tuple[str | None, str | None]:
    """What (canary, baseline) chose on a decision, whichever of them served it."""
    if decision.arm == Arm.CANARY:
        return decision.label, decision.shadow_label
    return decision.shadow_label, decision.label


def fold_decisions(connection: Connection, decisions: Sequence[Any]) -> None:
    """Count newly exposed keys and what both arms chose for them. `decisions`: new rows, in the order of time."""
    by_rollout: dict[str, list[Any]] = defaultdict(list)
    for decision in decisions:
        if decision.rollout_id is not None:
            by_rollout[decision.rollout_id].append(decision)
    for rollout_id, rows in sorted(by_rollout.items()):
        rollout = rollout_store.get(connection, rollout_id)
        own = [row for row in rows if rollout is not None and row.agent == rollout.agent]
        if rollout is not None and own:
            _fold_exposure(connection, rollout, own)


def _fold_exposure(connection: Connection, rollout: Rollout, rows: Sequence[Any]) -> None:
    rollout_store.lock(connection, rollout.id)
    first: dict[str, Any] = {}
    for row in rows:
        first.setdefault(row.key, row)
    choices = {key: (row.at, *choices_of(row)) for key, row in first.items()}
    new = rollout_store.meet_keys(connection, rollout.id, choices)
    if not new:
        return
    parts = rollout_store.evidence(connection, rollout.id)
    both = [key for key in new if None not in choices[key]]
    differing = sum(choices[key][1] != choices[key][2] for key in both)
    paired = _paired(parts, rollout).add_compared(len(both), differing)
    rollout_store.put_evidence(connection, rollout.id, PAIRED, paired.to_mapping())
    by_step: dict[int, list[str]] = defaultdict(list)
    for key in new:
        by_step[min(first[key].step or 0, len(rollout.plan.steps) - 1)].append(first[key].arm)
    for step, arms in sorted(by_step.items()):
        summary = _step(parts, step)
        canary = arms.count(Arm.CANARY)
        exposed = summary.exposed.add(canary=canary, baseline=len(arms) - canary)
        updated = StepSummary(exposed=exposed, canary=summary.canary, baseline=summary.baseline)
        rollout_store.put_evidence(connection, rollout.id, step_part(step), updated.to_mapping())


def fold_outcomes(connection: Connection, pairs: Sequence[tuple[Any, Any]]) -> None:
    """Count outcomes of served decisions. `pairs`: (outcome, decision) rows, each outcome once."""
    by_rollout: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for outcome, decision in pairs:
        if decision.rollout_id is not None:
            by_rollout[decision.rollout_id].append((outcome, decision))
    for rollout_id, rows in sorted(by_rollout.items()):
        rollout = rollout_store.get(connection, rollout_id)
        own = [pair for pair in rows if rollout is not None and pair[1].agent == rollout.agent]
        if rollout is not None and own:
            _fold_arm_outcomes(connection, rollout, own)


def _fold_arm_outcomes(connection: Connection, rollout: Rollout, rows: Sequence[tuple[Any, Any]]) -> None:
    rollout_store.lock(connection, rollout.id)
    parts = rollout_store.evidence(connection, rollout.id)
    keys = rollout_store.key_rows(connection, rollout.id, [decision.key for _, decision in rows])
    steps: dict[int, StepSummary] = {}
    sums: dict[str, dict[str, Any]] = {}
    for row, decision in rows:
        if decision.key not in keys:
            continue
        step, arm = _place(rollout, decision)
        summary = steps.get(step) or _step(parts, step)
        key_sums = sums.setdefault(decision.key, dict(keys[decision.key].sums))
        place = f"{step}/{arm}"
        before = KeySums.from_mapping(key_sums[place]) if place in key_sums else KeySums()
        outcome = Outcome(failed=row.failed, score=row.score, latency_ms=row.latency_ms, cost_usd=row.cost_usd)
        arm_summary, after = summary.arm(arm).add(outcome, key=before, plan=rollout.plan, arm=arm, new_key=not key_sums)
        steps[step] = summary.with_arm(arm, arm_summary)
        key_sums[place] = after.to_mapping()
    rollout_store.put_key_sums(connection, rollout.id, sums)
    for step, summary in sorted(steps.items()):
        rollout_store.put_evidence(connection, rollout.id, step_part(step), summary.to_mapping())


def fold_answer(
    connection: Connection, rollout_id: str, key: str, answer: str, *, decision_id: str, inclusion: float, at: datetime
) -> bool:
    """Let an independent answer about a decision judge both arms on its discordant key, once.

    False when it changes nothing, also where the arms chose otherwise on that decision than when they first met the
    key: what is right for one says nothing about the other.
    """
    rollout = rollout_store.get(connection, rollout_id)
    decision = event_store.decision(connection, decision_id)
    if rollout is None or decision is None:
        return False
    rollout_store.lock(connection, rollout_id)
    row = rollout_store.key_rows(connection, rollout_id, [key]).get(key)
    if row is None or row.canary_label is None or row.baseline_label is None or row.canary_label == row.baseline_label:
        return False
    if choices_of(decision) != (row.canary_label, row.baseline_label):
        return False
    x = int(row.canary_label == answer) - int(row.baseline_label == answer)
    if not rollout_store.pair_key(connection, rollout_id, key, x=x, inclusion=inclusion, at=at):
        return False
    paired = _paired(rollout_store.evidence(connection, rollout_id), rollout).add(
        x=x, inclusion=inclusion, judged=row.judged
    )
    rollout_store.put_evidence(connection, rollout_id, PAIRED, paired.to_mapping())
    return True


def fold_review(connection: Connection, item: ReviewItem, answer: str, *, at: datetime) -> None:
    """Let the answer to a drawn question count wherever it is evidence: once, with the question's own probability."""
    if item.rollout_id is not None:
        fold_answer(
            connection,
            item.rollout_id,
            item.key,
            answer,
            decision_id=item.decision_id,
            inclusion=item.inclusion,
            at=at,
        )
    _fold_true_score(connection, item, answer)


def _fold_true_score(connection: Connection, item: ReviewItem, answer: str) -> None:
    """Correct what judges believed of a served label by the person's answer, where the plan's score comes from them."""
    decision = event_store.decision(connection, item.decision_id)
    if decision is None or decision.rollout_id is None:
        return
    rollout = rollout_store.get(connection, decision.rollout_id)
    if rollout is None or rollout.plan.score_source is not ScoreSource.JUDGES:
        return
    rollout_store.lock(connection, rollout.id)
    row = rollout_store.key_rows(connection, rollout.id, [item.key]).get(item.key)
    believed = row.sums.get(JUDGED) if row is not None else None
    if row is None or believed is None or believed["decision"] != decision.id or believed["answered"]:
        return
    step, arm = _place(rollout, decision)
    summary = _step(rollout_store.evidence(connection, rollout.id), step)
    truth = float(decision.label == answer)
    corrected = summary.arm(arm).add_judged_label(truth, believed["score"], inclusion=item.inclusion)
    rollout_store.put_evidence(connection, rollout.id, step_part(step), summary.with_arm(arm, corrected).to_mapping())
    rollout_store.put_key_sums(connection, rollout.id, {item.key: {**row.sums, JUDGED: {**believed, "answered": True}}})


def fold_judged_scores(
    connection: Connection, rollout_id: str, posteriors: Mapping[str, tuple[Any, Mapping[str, float]]]
) -> None:
    """Count what judges believe of served labels, one decision a key, where the plan's score comes from them.

    `posteriors`: key -> (the served decision, label -> probability by the consensus).
    """
    rollout = rollout_store.get(connection, rollout_id)
    if rollout is None or rollout.plan.score_source is not ScoreSource.JUDGES:
        return
    rollout_store.lock(connection, rollout_id)
    parts = rollout_store.evidence(connection, rollout_id)
    steps: dict[int, StepSummary] = {}
    sums: dict[str, dict[str, Any]] = {}
    for key, row in rollout_store.key_rows(connection, rollout_id, sorted(posteriors)).items():
        decision, posterior = posteriors[key]
        if JUDGED in row.sums or decision.label is None:
            continue
        step, arm = _place(rollout, decision)
        summary = steps.get(step) or _step(parts, step)
        score = min(1.0, max(0.0, posterior.get(decision.label, 0.0)))
        steps[step] = summary.with_arm(arm, summary.arm(arm).add_judged(score))
        sums[key] = {**row.sums, JUDGED: {"decision": decision.id, "score": score, "answered": False}}
    rollout_store.put_key_sums(connection, rollout_id, sums)
    for step, summary in sorted(steps.items()):
        rollout_store.put_evidence(connection, rollout_id, step_part(step), summary.to_mapping())


def _place(rollout: Rollout, decision: Any) -> tuple[int, Arm]:
    """The step and arm that served a decision."""
    return min(decision.step or 0, len(rollout.plan.steps) - 1), Arm(decision.arm)


def fold_judged(
    connection: Connection, rollout_id: str, posteriors: Mapping[str, tuple[Any, Mapping[str, float]]]
) -> None:
    """Let the judges say what they expect of discordant keys: it narrows the estimate, and never decides alone.

    `posteriors`: key -> (the judged decision, label -> probability by the consensus), for keys without an answer yet.
    """
    rollout = rollout_store.get(connection, rollout_id)
    if rollout is None:
        return
    rollout_store.lock(connection, rollout_id)
    expected = {}
    for key, row in rollout_store.key_rows(connection, rollout_id, sorted(posteriors)).items():
        decision, posterior = posteriors[key]
        canary, baseline = row.canary_label, row.baseline_label
        if canary is None or baseline is None or canary == baseline or choices_of(decision) != (canary, baseline):
            continue
        expected[key] = posterior.get(canary, 0.0) - posterior.get(baseline, 0.0)
    taken = rollout_store.judge_keys(connection, rollout_id, expected)
    if taken:
        paired = _paired(rollout_store.evidence(connection, rollout_id), rollout)
        for key in sorted(taken):
            paired = paired.add_judged(expected[key])
        rollout_store.put_evidence(connection, rollout_id, PAIRED, paired.to_mapping())


def fold_inclusion(connection: Connection, rollout_id: str, least: float) -> None:
    """Tell the evidence, before any answer, the smallest probability with which a discordant key could be drawn."""
    rollout = rollout_store.get(connection, rollout_id)
    if rollout is None:
        return
    rollout_store.lock(connection, rollout_id)
    before = _paired(rollout_store.evidence(connection, rollout_id), rollout)
    after = before.add_compared(0, 0, least_inclusion=least)
    if after != before:
        rollout_store.put_evidence(connection, rollout_id, PAIRED, after.to_mapping())


def paired_history(connection: Connection, rollout: Rollout) -> list[tuple[datetime, PairedSummary]]:
    """How the paired evidence grew, folded again label by label: for drawing, never for deciding."""
    keys = rollout_store.all_keys(connection, rollout.id)
    met = [(row.met_at, 0, row) for row in keys if row.canary_label is not None and row.baseline_label is not None]
    answered = [(row.paired_at, 1, row) for row in keys if row.paired_at is not None]
    summary = PairedSummary(planned_inclusion=rollout.plan.label_inclusion)
    history = []
    for at, kind, row in sorted([*met, *answered], key=lambda one: (one[0], one[1], one[2].key)):
        if kind == 0:
            summary = summary.add_compared(1, int(row.canary_label != row.baseline_label))
        else:
            summary = summary.add(x=row.paired, inclusion=row.inclusion)
            history.append((at, summary))
    return history
