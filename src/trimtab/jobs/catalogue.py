"""The jobs: when each is due (UTC), and the one idempotent service call that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from trimtab.bootstrap import Trimtab
from trimtab.core.rights import SYSTEM

Work = Callable[[Trimtab], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named piece of regular work. `at`: daily at that time; otherwise every `every`."""

    name: str
    help: str
    work: Work
    at: time | None = None
    every: timedelta | None = None
    runs_paused: bool = False  # keeps running while the loop is paused

    def last_due(self, now: datetime) -> datetime:
        """The newest due time that is not after `now`."""
        if self.at is not None:
            today = datetime.combine(now.date(), self.at, tzinfo=now.tzinfo)
            return today if today <= now else today - timedelta(days=1)
        every = self.every or timedelta(minutes=1)
        midnight = datetime.combine(now.date(), time(0), tzinfo=now.tzinfo)
        return midnight + (now - midnight) // every * every


def _load_feeds(trimtab: Trimtab) -> dict[str, Any]:
    reports = trimtab.labels.load(SYSTEM)
    return {"added": sum(one.added for one in reports), "present": sum(one.present for one in reports)}


def _update_weights(trimtab: Trimtab) -> dict[str, Any]:
    weights = trimtab.judges.update_weights(SYSTEM)
    return {agent: {f"{one.judge}@{one.version}": one.weight for one in found} for agent, found in weights.items()}


def _sample_reviews(trimtab: Trimtab) -> dict[str, Any]:
    settings = trimtab.settings
    reports = trimtab.reviews.sample(
        SYSTEM,
        budget=settings.review_budget,
        discordant_quota=settings.discordant_quota,
        reviewers_wanted=settings.reviewers_wanted,
        double_review_share=settings.double_review_share,
    )
    return {one.agent: {"candidates": one.candidates, "queued": one.queued} for one in reports}


def _tick(trimtab: Trimtab) -> dict[str, Any]:
    return {
        one.rollout.agent: {
            "rollout": one.rollout.id,
            "decision": one.assessment.decision.value if one.assessment else None,
            "acted": one.acted.value if one.acted else None,
        }
        for one in trimtab.rollouts.tick(SYSTEM)
    }


def _lapse_leases(trimtab: Trimtab) -> dict[str, Any]:
    return {"lapsed": trimtab.reviews.lapse(SYSTEM), "expired": trimtab.proposals.expire(SYSTEM)}


_ALL = (
    Job(
        name="load_feeds",
        help="Bring feedback, approvals and gold tasks into the labelled store.",
        at=time(2),
        work=_load_feeds,
    ),
    Job(name="update_weights", help="Measure judges against people.", at=time(3), work=_update_weights),
    Job(name="sample_reviews", help="Draw the questions that people are asked.", at=time(4), work=_sample_reviews),
    Job(
        name="guard_report",
        help="Let the guard look at every rollout and keep its word.",
        at=time(5),
        work=_tick,
        runs_paused=True,
    ),
    Job(
        name="guard_tick",
        help="Let the guard act on running rollouts.",
        every=timedelta(minutes=1),
        work=_tick,
        runs_paused=True,  # a paused loop may still roll back
    ),
    Job(
        name="lapse_leases",
        help="Open again what was claimed and not answered; close proposals nobody decided on.",
        every=timedelta(minutes=1),
        work=_lapse_leases,
    ),
)
JOBS: Mapping[str, Job] = {job.name: job for job in _ALL}
