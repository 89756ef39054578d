"""Steps that the services' tests share: an agent, its bundles, decisions, labels, and two people at once."""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from trimtab.bootstrap import Trimtab, build
from trimtab.clock import SimulatedClock
from trimtab.core.agents import AgentSpec
from trimtab.core.assignment import Arm, arm
from trimtab.core.bundles import Bundle
from trimtab.core.events import AnyEvent, DecisionEvent, FeedbackEvent, OutcomeEvent, VerdictEvent
from trimtab.core.guard import ReasonCode
from trimtab.core.ids import named_uuid7
from trimtab.core.policy import compile_policy
from trimtab.core.rights import SYSTEM, Actor, Role
from trimtab.core.rollouts import Goal, GuardPlan, Metric
from trimtab.services.decisions import Receipt, ReceiptStatus
from trimtab.services.labels import ImportRow
from trimtab.services.rollouts import Tick
from trimtab.settings import Settings
from trimtab.store.proposals import Proposal
from trimtab.store.rollouts import Rollout

START = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
MAIL = "mail"

ADMIN = Actor(name="ada", role=Role.ADMIN)
OPERATOR = Actor(name="olga", role=Role.OPERATOR)
APPROVER = Actor(name="abel", role=Role.APPROVER)
OTHER_APPROVER = Actor(name="anna", role=Role.APPROVER)
REVIEWER = Actor(name="rita", role=Role.REVIEWER)
OTHER_REVIEWER = Actor(name="rolf", role=Role.REVIEWER)
VIEWER = Actor(name="vera", role=Role.VIEWER)
AGENT = Actor(name="mailbot", role=Role.AGENT)

# A plan that a test can bring to its end in a few hundred decisions.
QUICK = GuardPlan(
    steps=(0.5, 1.0),
    dwell=timedelta(hours=1),
    goal=Goal.BETTER,
    metrics=(Metric.QUALITY,),
    min_labels=5,
    min_keys=5,
)


def open_trimtab(url: str, clock: SimulatedClock, *, seed: int = 7, **settings: Any) -> Trimtab:
    """The services over a database of the present schema; ids, and with them who is a canary, follow from the seed."""
    chance = random.Random(seed).randbytes
    return build(Settings(database_url=url, **settings), clock=clock, randomness=chance, migrate=False)


# ---- agents and bundles: mail with at least `links` links is spam ----


def spec(agent: str = MAIL, *, labels: Sequence[str] = ("ham", "spam"), **more: Any) -> AgentSpec:
    return AgentSpec.from_mapping(
        {
            "agent": agent,
            "labels": list(labels),
            "features": [
                {"name": "links", "kind": "count"},
                {"name": "capitals", "kind": "number", "minimum": 0, "maximum": 1},
                {"name": "known_sender", "kind": "flag"},
            ],
            **more,
        }
    )


def add_agent(trimtab: Trimtab, agent: str = MAIL, **more: Any) -> AgentSpec:
    made = spec(agent, **more)
    trimtab.agents.add(ADMIN, made)
    return made


def rule_bundle(made: AgentSpec, links: int) -> Bundle:
    last = made.labels[-1]
    rule = {"when": [{"feature": "links", "op": ">=", "value": links}], "label": last, "confidence": 0.9}
    default = {"label": made.labels[0], "confidence": 0.8}
    return Bundle.build(made, {"kind": "rules", "rules": [rule], "default": default})


def upload(trimtab: Trimtab, links: int, agent: str = MAIL) -> Bundle:
    bundle = rule_bundle(trimtab.agents.get(VIEWER, agent), links)
    return trimtab.bundles.upload(OPERATOR, agent, bundle.to_json().encode()).bundle


def approved(trimtab: Trimtab, links: int, agent: str = MAIL) -> Proposal:
    proposal = trimtab.proposals.create(OPERATOR, agent, upload(trimtab, links, agent).sha256)
    return trimtab.proposals.approve(APPROVER, proposal.id, reason="looks right")


def crown(trimtab: Trimtab, links: int, agent: str = MAIL) -> Bundle:
    """Make a bundle champion at once."""
    proposal = approved(trimtab, links, agent)
    trimtab.proposals.apply(OPERATOR, proposal.id, without_canary=True)
    return trimtab.bundles.get(VIEWER, "champion", agent=agent)


def start_rollout(trimtab: Trimtab, links: int, agent: str = MAIL, *, plan: GuardPlan = QUICK) -> Rollout:
    trimtab.proposals.apply(OPERATOR, approved(trimtab, links, agent).id, plan=plan)
    return trimtab.rollouts.live(VIEWER, agent)


def agent_with_rollout(trimtab: Trimtab, agent: str = MAIL, *, champion: int = 5, challenger: int = 3) -> Rollout:
    add_agent(trimtab, agent)
    crown(trimtab, champion, agent)
    return start_rollout(trimtab, challenger, agent)


# ---- events ----


def decided(
    trimtab: Trimtab, key: str, links: int, agent: str = MAIL, *, at: datetime | None = None, turn: str = ""
) -> DecisionEvent:
    """What an agent's process would send: both arms computed, one served, sticky by key."""
    return Serving(trimtab, agent).decide(key, links, at=at, turn=turn)


class Serving:
    """What an agent's process knows until it asks again."""

    def __init__(self, trimtab: Trimtab, agent: str = MAIL) -> None:
        self.agent = agent
        self._now = trimtab.context.now
        self._document = trimtab.agents.serving(AGENT, agent)
        self._champion, self._challenger = (self._policy(name) for name in ("champion", "challenger"))

    def _policy(self, name: str) -> Any:
        document = self._document[name]
        return (
            (Bundle.from_document(document).sha256, compile_policy(Bundle.from_document(document)))
            if document
            else None
        )

    def decide(self, key: str, links: int, *, at: datetime | None = None, turn: str = "") -> DecisionEvent:
        moment, payload = (
            at or self._now(),
            {"links": links, "capitals": zlib.crc32(key.encode()) % 1000 / 1000, "known_sender": links == 0},
        )
        plain = DecisionEvent(
            id=named_uuid7(moment, self.agent, key, turn),
            agent=self.agent,
            key=key,
            at=moment,
            payload=payload,
            label=None,
            confidence=None,
            escalate=True,
            reason="FALLBACK",
            bundle=None,
            arm=Arm.BASELINE.value,
        )
        if self._champion is None or self._document["kill_switch"]:
            return plain
        where = arm(self._document["salt"], key, self._document["share"])
        served, other = self._champion, self._challenger
        if where is Arm.CANARY:
            served, other = other, served
        choice = served[1].decide(payload, moment)
        shadow = other[1].decide(payload, moment).label if other else None
        return changed(
            plain,
            label=choice.label,
            confidence=choice.confidence,
            escalate=choice.escalate,
            reason="SPLIT" if other else "STATIC",
            bundle=served[0],
            arm=where.value,
            shadow_label=shadow,
            discordant=shadow is not None and shadow != choice.label,
            rollout_id=self._document["rollout_id"],
            step=self._document["step"],
        )


def changed(event: Any, **values: Any) -> Any:
    """A copy of an event with other values."""
    return type(event)(**{**{name: getattr(event, name) for name in event.__struct_fields__}, **values})


def outcome(decision: Any, *, turn: str = "", at: datetime | None = None, **figures: Any) -> OutcomeEvent:
    return OutcomeEvent(
        id=named_uuid7(decision.at, decision.id, "outcome", turn),
        agent=decision.agent,
        at=at or decision.at + timedelta(seconds=1),
        decision_id=decision.id,
        **(figures or {"score": 1.0, "failed": False}),
    )


def thumb(decision: DecisionEvent, *, turn: str = "", **said: Any) -> FeedbackEvent:
    return FeedbackEvent(
        id=named_uuid7(decision.at, decision.id, "thumb", turn),
        agent=decision.agent,
        at=decision.at + timedelta(minutes=1),
        decision_id=decision.id,
        by="user:42",
        **(said or {"correct": True}),
    )


def verdict(
    decision: Any, judge: str, label: str, *, version: str = "1", confidence: float | None = 0.8
) -> VerdictEvent:
    return VerdictEvent(
        id=named_uuid7(decision.at, decision.id, judge, version),
        agent=decision.agent,
        at=decision.at + timedelta(seconds=5),
        decision_id=decision.id,
        judge=judge,
        version=version,
        label=label,
        confidence=confidence,
    )


def send(trimtab: Trimtab, *events: AnyEvent) -> list[Receipt]:
    return trimtab.decisions.ingest(AGENT, events)


def accepted(trimtab: Trimtab, events: Iterable[AnyEvent]) -> None:
    """Send events that must all be new and good."""
    receipts = trimtab.decisions.ingest(AGENT, list(events))
    assert {one.status for one in receipts} <= {ReceiptStatus.ACCEPTED}, [one for one in receipts if one.reason]


def serve(trimtab: Trimtab, links: Sequence[int], agent: str = MAIL, *, prefix: str = "thread") -> list[DecisionEvent]:
    """One stored decision per number of links, within a minute, each with its own key; five minutes pass."""
    serving, now = Serving(trimtab, agent), trimtab.context.now()
    events = [
        serving.decide(f"{prefix}-{i}", n, at=now + timedelta(seconds=i * 60 / max(1, len(links))))
        for i, n in enumerate(links)
    ]
    accepted(trimtab, events)
    wait(trimtab, timedelta(minutes=5))
    return events


def wait(trimtab: Trimtab, span: timedelta) -> None:
    clock = trimtab.context.clock
    assert isinstance(clock, SimulatedClock)
    clock.advance(span)


# ---- labels ----


def truth(links: int) -> str:
    return "spam" if links >= 3 else "ham"


def labelled_rows(n: int, *, prefix: str = "row") -> list[ImportRow]:
    """Rows with both labels whose answer follows from the number of links."""
    return [
        ImportRow(
            place=f"line {i + 1}",
            key=f"{prefix}-{i}",
            label=truth(i % 7),
            payload={"links": i % 7, "capitals": (i * 37 % 100) / 100, "known_sender": i % 3 == 0},
            at=START - timedelta(hours=n - i),
        )
        for i in range(n)
    ]


def answer_all(
    trimtab: Trimtab, right: Callable[[dict[str, Any]], str], *, agent: str = MAIL, reviewer: Actor = REVIEWER
) -> int:
    """Answer the whole queue; returns how many."""
    n = 0
    while (question := trimtab.reviews.claim(reviewer, agent=agent)) is not None:
        trimtab.reviews.answer(reviewer, question.item.id, right(question.payload))
        n += 1
    return n


def gold(trimtab: Trimtab, answers: Iterable[tuple[str, int, str]], agent: str = MAIL) -> None:
    """Trusted answers (key, links, label), loaded into the labelled store."""
    rows = [ImportRow(place=key, key=key, label=label, payload={"links": n}) for key, n, label in answers]
    trimtab.labels.add_gold(OPERATOR, agent, rows)
    trimtab.labels.load(OPERATOR, agent=agent, feed="gold")


# ---- rollouts ----

DWELL = timedelta(hours=2)  # longer than QUICK asks for


def served_hash(trimtab: Trimtab) -> str:
    return trimtab.bundles.get(VIEWER, "champion", agent=MAIL).sha256


def tick(trimtab: Trimtab) -> Tick:
    (found,) = trimtab.rollouts.tick(SYSTEM, agent=MAIL)
    return found


def codes(found: Tick) -> set[ReasonCode]:
    assert found.assessment is not None
    return {reason.code for reason in found.assessment.reasons}


def observe(
    trimtab: Trimtab, right: Callable[[int], str], *, differing: int = 14, alike: int = 14, prefix: str = "thread"
) -> list[DecisionEvent]:
    """Decisions on which the arms differ and on which they do not, all differing ones answered by a person."""
    events = serve(trimtab, [4] * differing + [0, 8] * (alike // 2), prefix=prefix)
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=0, discordant_quota=differing)
    answer_all(trimtab, lambda payload: right(payload["links"]))
    return events


def as_the_baseline_says(links: int) -> str:
    return "spam" if links >= 5 else "ham"


# ---- two at once ----


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Run the actions in threads that start together; each result, or the exception that it ended with."""
    gate = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def run(place: int, action: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results[place] = action()
        except Exception as error:  # noqa: BLE001 - how an action ended is what the tests are about
            results[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def twin(trimtab: Trimtab, url: str, clock: SimulatedClock) -> Trimtab:
    """Another process over the same database, as far as the database can tell."""
    return open_trimtab(url, clock, seed=8, signing_key=trimtab.settings.signing_key)
