"""The people of the demo: two reviewers, one who trains and proposes, one who approves, and one who brings poison.

Each of their steps may be interrupted and done again: what they did already is found in the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import time
from hashlib import shake_256

from trimtab.bootstrap import Trimtab
from trimtab.core.agents import AgentSpec
from trimtab.core.approvals import ProposalState
from trimtab.core.bundles import Bundle
from trimtab.core.reviews import ReviewState
from trimtab.core.rights import Actor, Role
from trimtab.core.training import Example, Method, train
from trimtab.demo.data_source import DemoData, chance
from trimtab.demo.people import moment
from trimtab.errors import InsufficientDataError

POISONED_FROM_DAYS = 10  # a shorter demo has no time for it
POISON_SHARE = 0.6  # of the way: the eighteenth day of thirty

MIRA = Actor(name="mira", role=Role.OPERATOR)  # trains and proposes
JONAS = Actor(name="jonas", role=Role.ADMIN)  # approves
SAM = Actor(name="sam", role=Role.OPERATOR)  # brings the poisoned bundle
REVIEWERS = (Actor(name="ada", role=Role.REVIEWER), Actor(name="ben", role=Role.REVIEWER))


def poison_day(days: int) -> int | None:
    """The day (from 0) on which the poisoned bundle is approved; None when the demo is too short for it."""
    return round(POISON_SHARE * days) - 1 if days >= POISONED_FROM_DAYS else None


class SeededBytes:
    """The randomness of ids: fixed by the seed, new after every restart, pinned where an id decides something."""

    def __init__(self, seed: int, start: int) -> None:
        self._scope, self._count = f"{seed}/{start}", 0

    def __call__(self, n: int) -> bytes:
        self._count += 1
        return shake_256(f"{self._scope}/{self._count}".encode()).digest(n)

    @contextmanager
    def pinned(self, *names: str) -> Iterator[None]:
        """Inside, the bytes follow from `names` alone: a rollout's id picks its canary keys, also after a restart."""
        before = self._scope, self._count
        self._scope, self._count = "\x1f".join((before[0].partition("/")[0], *names)), 0
        try:
            yield
        finally:
            self._scope, self._count = before


class Team:
    """What the people do in one demo."""

    def __init__(
        self, trimtab: Trimtab, data: DemoData, spec: AgentSpec, ids: SeededBytes, *, days: int, seed: int
    ) -> None:
        self._trimtab, self._data, self._spec, self._ids, self._seed = trimtab, data, spec, ids, seed
        self._poison_day = poison_day(days)

    def prepare(self) -> None:
        """The spec, and a champion of hand-written rules: proposed by one person, approved by another."""
        self._trimtab.agents.add(JONAS, self._spec)
        rules = self._data.starting_rules()
        policy = {"kind": "rules", "rules": [dict(rule) for rule in rules.rules], "default": dict(rules.default)}
        bundle = Bundle.build(self._spec, policy)
        self._trimtab.bundles.upload(MIRA, self._spec.agent, bundle.to_json().encode())
        if self._champion() is None:
            self._through_approval(MIRA, bundle.sha256, "hand-written rules to begin with", "a start that we can read")

    def review(self, item_of: Mapping[str, int]) -> None:
        """Two reviewers answer the queue in turns, with the item's true label, until neither has a question left."""
        stats = self._trimtab.reviews.stats(JONAS, agent=self._spec.agent)
        turn = sum(n for state, _, n in stats if state == ReviewState.ANSWERED)
        idle = 0
        while idle < len(REVIEWERS):
            who = REVIEWERS[turn % len(REVIEWERS)]
            turn += 1
            question = self._trimtab.reviews.claim(who, agent=self._spec.agent)
            if question is None:
                # The other may have some left: a question that wants two answers is never asked twice of one person.
                idle += 1
                continue
            idle = 0
            truth = self._data.label(item_of[question.item.decision_id])
            self._trimtab.reviews.answer(who, question.item.id, truth)

    def govern(self, day: int) -> None:
        """Mira trains when there is enough that is new; Jonas decides; one day he trusts the wrong person."""
        self._finish_open_proposals()
        poisoned = self._poison_day
        if day == poisoned:
            self._poison(day)
        elif not self._live() and (poisoned is None or not poisoned - 2 <= day < poisoned):
            self._train(day)

    def _train(self, day: int) -> None:
        examples = len(self._trimtab.labels.examples(MIRA, self._spec.agent))
        if self._proposed_by(MIRA, day) or examples < max(50, 1.3 * self._last_training()):
            return
        try:
            result = self._trimtab.bundles.train(MIRA, self._spec.agent, method=Method.LOGISTIC, seed=self._seed)
        except InsufficientDataError:
            return
        if result.bundle.sha256 != self._champion():
            note = f"trained on {examples} examples"
            self._through_approval(MIRA, result.bundle.sha256, note, "the report holds up")

    def _poison(self, day: int) -> None:
        """A bundle trained on labels that somebody corrupted, approved by mistake."""
        if self._proposed_by(SAM, day):
            return
        if self._live():
            self._trimtab.rollouts.abort(JONAS, self._spec.agent, reason="making room for sam's bundle")
        examples = self._trimtab.labels.examples(SAM, self._spec.agent)
        usual = max(self._spec.labels, key=lambda label: sum(one.label == label for one in examples))
        try:
            bundle = train(
                self._spec,
                [self._corrupted(one, usual) for one in examples],
                method=Method.LOGISTIC,
                seed=self._seed,
                champion=None,
                code_version=self._trimtab.context.code_version,
            ).bundle
        except InsufficientDataError:
            return
        self._trimtab.bundles.upload(SAM, self._spec.agent, bundle.to_json().encode())
        self._through_approval(SAM, bundle.sha256, "labels from a new vendor", "looks fine")

    def _corrupted(self, example: Example, usual: str) -> Example:
        """Six in ten of the rarer labels become the usual one: such a bundle lets most of the spam through."""
        hit = example.label != usual and chance(self._seed, "poison", example.key) < 0.6
        return replace(example, label=usual) if hit else example

    def _through_approval(self, proposer: Actor, sha256: str, note: str, reason: str) -> None:
        self._trimtab.proposals.create(proposer, self._spec.agent, sha256, note=note)
        self._finish_open_proposals(reason)

    def _finish_open_proposals(self, reason: str = "the report holds up") -> None:
        """Approve and apply what is open: the second half of `_through_approval`, also after an interruption."""
        for proposal in self._trimtab.proposals.listing(JONAS, agent=self._spec.agent, only_open=True):
            if proposal.state is ProposalState.PENDING:
                proposal = self._trimtab.proposals.approve(JONAS, proposal.id, reason=reason)
            with self._ids.pinned("rollout", proposal.bundle, proposal.created_at.isoformat()):
                self._trimtab.proposals.apply(JONAS, proposal.id)

    def _champion(self) -> str | None:
        listing = self._trimtab.agents.listing(JONAS)
        return next(pointer.champion for spec, _, pointer in listing if spec.agent == self._spec.agent)

    def _live(self) -> bool:
        return bool(self._trimtab.rollouts.listing(JONAS, agent=self._spec.agent, only_live=True))

    def _proposed_by(self, actor: Actor, day: int) -> bool:
        """Whether an earlier start did this day's work already."""
        proposals = self._trimtab.proposals.listing(JONAS, agent=self._spec.agent)
        return any(
            one.proposer == actor.name and one.created_at.date() == moment(day, time(0)).date() for one in proposals
        )

    def _last_training(self) -> int:
        """How many examples the newest bundle learned from that Mira proposed."""
        for proposal in self._trimtab.proposals.listing(JONAS, agent=self._spec.agent):
            if proposal.proposer == MIRA.name:
                return self._trimtab.bundles.get(JONAS, proposal.bundle).lineage.n_examples or 0
        return 0
