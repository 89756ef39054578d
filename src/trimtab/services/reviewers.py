"""Reviewers measured like judges: how far they agree with each other, and with the answers that stood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from trimtab.core.agents import AgentSpec
from trimtab.core.judges.agreement import cohen_kappa, krippendorff_alpha
from trimtab.core.judges.reliability import summarise
from trimtab.core.judges.verdicts import JudgeVersion, VerdictTable
from trimtab.core.judges.weights import agreement_interval
from trimtab.core.labels import Source, merge_labels
from trimtab.core.reviews import final_label
from trimtab.store import labels as label_store
from trimtab.store import reviews as review_store

_PERSON = "person"  # people have no versions
_NO_DECAY = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerReliability:
    """One reviewer against the answers that stood. Agreement, interval and κ are None where nothing was compared."""

    reviewer: str
    answers: int
    n: int
    agreement: float | None
    interval: tuple[float, float] | None
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerAgreement:
    """An agent's reviewers. `alpha` (Krippendorff) is None where no item has two answers, or all are one label."""

    agent: str
    alpha: float | None
    n: int  # items with two blind answers or more
    disagreed: int  # of these, items on which not all named one label
    disputed: int  # of these, items that still wait for an adjudicator
    reviewers: tuple[ReviewerReliability, ...]


def agreement_of(connection: Connection, spec: AgentSpec) -> ReviewerAgreement:
    """Reviewers of one agent, over all closed items.

    The answer that stood is gold, else the adjudicator's, else what two reviewers or more named together; an answer
    that nobody else gave or checked is compared with nothing.
    """
    rows = review_store.closed_answers(connection, spec.agent)
    gold = merge_labels(label_store.of_agent(connection, spec.agent, sources={Source.GOLD}), possible=spec.labels)
    by_item: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_item[row.item_id].append(row)
    stood: dict[str, str] = {}
    for item, answers in by_item.items():
        trusted = gold[answers[0].key].label if answers[0].key in gold else None
        final = final_label([one.label for one in answers], adjudicated=answers[0].adjudicated, gold=trusted)
        checked = len(answers) > 1 or trusted is not None or answers[0].adjudicated is not None
        if final is not None and checked:
            stood[item] = final
    several = [answers for answers in by_item.values() if len(answers) > 1]
    labels = sorted({*spec.labels, *(row.label for row in rows), *stood.values()})  # a spec may have lost labels since
    place = {label: i for i, label in enumerate(labels)}
    return ReviewerAgreement(
        agent=spec.agent,
        alpha=krippendorff_alpha(
            [i for i, answers in enumerate(several) for _ in answers],
            [place[one.label] for answers in several for one in answers],
            n_labels=len(labels),
        ),
        n=len(several),
        disagreed=sum(len({one.label for one in answers}) > 1 for answers in several),
        disputed=len(review_store.disputed(connection, agent=spec.agent)),
        reviewers=_reliability(rows, stood, labels),
    )


def _reliability(rows: Sequence[Any], stood: dict[str, str], labels: Sequence[str]) -> tuple[ReviewerReliability, ...]:
    items = sorted({row.item_id for row in rows})
    people = sorted({row.reviewer for row in rows})
    at_item, at_person = ({name: i for i, name in enumerate(names)} for names in (items, people))
    place = {label: i for i, label in enumerate(labels)}
    table = VerdictTable.from_columns(
        decisions=items,
        judges=[JudgeVersion(judge=name, version=_PERSON) for name in people],
        labels=labels,
        item=[at_item[row.item_id] for row in rows],
        judge=[at_person[row.reviewer] for row in rows],
        label=[place[row.label] for row in rows],
    )
    summary = summarise(table, table.gold_of(stood), half_life_days=_NO_DECAY, look_back_days=_NO_DECAY)
    found = []
    for judge, sums in summary.judges.items():
        rate, estimate, interval = sums.hit_rate, None, None
        if rate is not None:
            estimate, interval = agreement_interval(rate * sums.n, sums.n)
        found.append(
            ReviewerReliability(
                reviewer=judge.judge,
                answers=sum(row.reviewer == judge.judge for row in rows),
                n=sums.n,
                agreement=estimate,
                interval=interval,
                kappa=cohen_kappa(sums.confusion),
            )
        )
    return tuple(found)
