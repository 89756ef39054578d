"""The labelled store: feeds in, examples out, each answer once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table

from trimtab.core.agents import AgentSpec
from trimtab.core.events import check_key, check_name, check_payload_size
from trimtab.core.features import check_payload, extract
from trimtab.core.labels import Label, MergedLabel, Polarity, Source, merge_labels, source_reliability
from trimtab.core.reviews import ReviewState
from trimtab.core.rights import Actor, Right
from trimtab.core.training import Example
from trimtab.errors import InvalidInputError
from trimtab.services import evidence
from trimtab.services.context import Context, audit, is_id, spec_of
from trimtab.store import agents as agent_store
from trimtab.store import labels as label_store
from trimtab.store import reviews as review_store
from trimtab.store.engine import reading, writing
from trimtab.store.tables import action_approvals, feedback, gold_tasks

FEEDS: Mapping[str, Table] = {"feedback": feedback, "approvals": action_approvals, "gold": gold_tasks}
REVIEW_BATCH = 10_000
MAX_SOURCE_ID = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReport:
    """What loading a feed did: `added` new labels, `present` that were there already, `waiting` without a decision."""

    agent: str
    feed: str
    added: int
    present: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRow:
    """One labelled row from outside. `place` names it in error texts, such as "line 17"."""

    place: str
    key: str
    label: str
    payload: dict[str, Any] | None = None
    confidence: float = 1.0
    polarity: Polarity = Polarity.POSITIVE
    at: datetime | None = None
    by: str | None = None
    decision_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did; `refused` names each bad row and its reason."""

    added: int
    present: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStats:
    """The labelled store in figures."""

    total: int
    by_agent: dict[str, int] = field(default_factory=dict)
    by_source: dict[str, int] = field(default_factory=dict)
    by_label: dict[str, int] = field(default_factory=dict)
    negative: int = 0
    last_day: int = 0
    last_week: int = 0
    conflicts: int | None = None  # counted for one agent only
    source_reliability: dict[str, tuple[float, int]] = field(default_factory=dict)  # for one agent only
    waiting: dict[str, int] = field(default_factory=dict)  # for one agent only: what feeds have not loaded


class Labels:
    """Who said what the right answer is."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def load(self, actor: Actor, *, agent: str | None = None, feed: str | None = None) -> list[FeedReport]:
        """Bring feeds into the labelled store. Loading twice changes nothing; two loaders at once lose nothing."""
        actor.require(Right.LABEL)
        if feed is not None and feed not in FEEDS:
            raise InvalidInputError(f"feed {feed!r} is unknown; there are {', '.join(FEEDS)}")
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            agents = [agent] if agent else [row.agent for row in agent_store.newest_specs(connection)]
        feeds = [feed] if feed else list(FEEDS)
        return [self._load_feed(actor, one, name) for one in agents for name in feeds]

    def _load_feed(self, actor: Actor, agent: str, feed: str) -> FeedReport:
        at = self._context.now()
        table = FEEDS[feed]
        added = present = 0
        with writing(self._context.engine) as connection:
            while rows := label_store.unloaded(connection, table, agent):
                labels = [_from_feed(feed, row, self._context.new_id(), at) for row in rows]
                usable = [one for one in labels if one is not None]
                new = label_store.append(connection, usable)
                added += len(new)
                present += len(usable) - len(new)
                label_store.mark_loaded(connection, table, [row.id for row in rows])
                if feed == "gold":
                    self._answer_by_gold(connection, agent, [row.key for row in rows], at)
            waiting = label_store.waiting(connection, agent)[_WAITING_NAMES[feed]]
            if added or present:
                details = {"feed": feed, "added": added, "present": present}
                audit(connection, actor=actor, at=at, action="labels.load", subject=agent, details=details)
        return FeedReport(agent=agent, feed=feed, added=added, present=present, waiting=waiting)

    def _answer_by_gold(self, connection: Connection, agent: str, keys: Sequence[str], at: datetime) -> None:
        """A gold answer also answers an open or disputed question on the same key, with its own probability."""
        wanted = set(keys)
        open_items = review_store.queue(connection, agent=agent, limit=REVIEW_BATCH)
        for item in [*open_items, *review_store.disputed(connection, agent=agent)]:
            if item.key not in wanted:
                continue
            answers = merge_labels(
                [one for one in label_store.of_key(connection, agent, item.key) if one.source is Source.GOLD],
                possible=spec_of(connection, agent).labels,
            )
            if item.key in answers:
                evidence.fold_review(connection, item, answers[item.key].label, at=at)
            review_store.move(connection, item, ReviewState.EXPIRED, at=at)

    def add_rows(
        self, actor: Actor, agent: str, rows: Iterable[ImportRow], *, name: str, skip_bad: bool = False
    ) -> ImportReport:
        """Import labelled rows under the name of their origin: all of them, or none when one is bad.

        With `skip_bad` the good ones are stored and the bad ones named. The same name and keys again change nothing.
        Raises InvalidInputError naming the first bad row.
        """
        actor.require(Right.LABEL)
        if not name or len(name) > 80 or not name.isprintable():
            raise InvalidInputError("name: 1 to 80 printable characters are needed to tell this import from others")
        at = self._context.now()
        with writing(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            good: list[dict[str, Any]] = []
            refused: list[str] = []
            said: dict[str, str] = {}
            for row in rows:
                try:
                    values = _imported(row, spec, name, self._context.new_id(), at)
                    _check_repeat(said, values)
                    good.append(values)
                except InvalidInputError as error:
                    if not skip_bad:
                        raise InvalidInputError(
                            f"{row.place}: {error}. Nothing was imported; mend the row, or use --skip-bad"
                        ) from None
                    refused.append(f"{row.place}: {error}")
            new = label_store.append(connection, good)
            report = ImportReport(added=len(new), present=len(good) - len(new), refused=tuple(refused))
            if good:
                audit(
                    connection,
                    actor=actor,
                    at=at,
                    action="labels.import",
                    subject=agent,
                    details={
                        "name": name,
                        "added": report.added,
                        "present": report.present,
                        "refused": len(refused),
                    },
                )
        return report

    def add_gold(self, actor: Actor, agent: str, rows: Iterable[ImportRow]) -> int:
        """Store tasks with a trusted answer, one per key; returns how many are new. The next load labels them."""
        actor.require(Right.LABEL)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            tasks = []
            said: dict[str, str] = {}
            for row in rows:
                try:
                    values = _imported(row, spec, "gold", self._context.new_id(), at)
                    if row.polarity is Polarity.NEGATIVE:
                        raise InvalidInputError("a gold task needs the right answer, not one that is wrong")
                    _check_repeat(said, values)
                except InvalidInputError as error:
                    raise InvalidInputError(f"{row.place}: {error}. Nothing was stored") from None
                if row.payload is None:
                    raise InvalidInputError(f"{row.place}: a gold task needs its payload. Nothing was stored")
                tasks.append(
                    {name: values[name] for name in ("id", "agent", "key", "payload", "label", "at")}
                    | {"by": actor.name, "loaded": False}
                )
            added = label_store.add_gold(connection, tasks)
            if added:
                details = {"added": added}
                audit(connection, actor=actor, at=at, action="labels.add_gold", subject=agent, details=details)
        return added

    def stats(self, actor: Actor, *, agent: str | None = None) -> LabelStats:
        """The store in figures: by agent, source and label, and how it grew."""
        actor.require(Right.READ)
        now = self._context.now()
        with reading(self._context.engine) as connection:
            spec = spec_of(connection, agent) if agent is not None else None
            rows = label_store.counts(connection, agent=agent)
            day = label_store.counts(connection, agent=agent, since=now - timedelta(days=1))
            week = label_store.counts(connection, agent=agent, since=now - timedelta(days=7))
            extra: dict[str, Any] = {}
            if spec is not None:
                labels = label_store.of_agent(connection, spec.agent)
                merged = merge_labels(labels, possible=spec.labels)
                measured = source_reliability(labels, possible=spec.labels)
                extra = {
                    "conflicts": sum(one.conflict for one in merged.values()),
                    "source_reliability": {source.value: value for source, value in measured.items()},
                    "waiting": label_store.waiting(connection, spec.agent),
                }
        return LabelStats(
            total=sum(row.n for row in rows),
            by_agent=_total(rows, "agent"),
            by_source=_total(rows, "source"),
            by_label=_total(rows, "label"),
            negative=sum(row.n for row in rows if row.polarity == Polarity.NEGATIVE),
            last_day=sum(row.n for row in day),
            last_week=sum(row.n for row in week),
            **extra,
        )

    def merged(self, actor: Actor, agent: str) -> dict[str, MergedLabel]:
        """One answer per key, all sources heard."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            return _merged(connection, spec)

    def examples(self, actor: Actor, agent: str) -> list[Example]:
        """What a bundle may learn from: input + answer, with weight and provenance."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return examples_of(connection, spec_of(connection, agent))


def _merged(connection: Connection, spec: AgentSpec) -> dict[str, MergedLabel]:
    labels = label_store.of_agent(connection, spec.agent)
    worth = {source: value for source, (value, _) in source_reliability(labels, possible=spec.labels).items()}
    return merge_labels(labels, possible=spec.labels, reliability=worth)


def examples_of(connection: Connection, spec: AgentSpec, *, keep: Sequence[Source] | None = None) -> list[Example]:
    """The agent's examples from the labelled store, one per key whose payload is known."""
    labels: list[Label] = label_store.of_agent(connection, spec.agent, sources=keep)
    worth = {source: value for source, (value, _) in source_reliability(labels, possible=spec.labels).items()}
    merged = merge_labels(labels, possible=spec.labels, reliability=worth)
    payloads = label_store.payloads(connection, spec.agent)
    examples = []
    for key, one in merged.items():
        if key not in payloads:
            continue
        seen_at, payload = payloads[key]
        examples.append(
            Example(
                key=key,
                values=extract(spec.features, payload, at=seen_at).values,
                label=one.label,
                weight=one.confidence,
                at=seen_at,
                decision_id=one.decision_id,
                source="+".join(source.value for source in one.sources),
                inclusion=one.inclusion,
            )
        )
    return examples


_WAITING_NAMES = {"feedback": "feedback", "approvals": "approval", "gold": "gold"}


def _total(rows: Iterable[Any], column: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for row in rows:
        found[getattr(row, column)] += row.n
    return dict(sorted(found.items()))


def _from_feed(feed: str, row: Any, label_id: str, at: datetime) -> dict[str, Any] | None:
    """The label that a feed's row amounts to; None when it says nothing (a thumb on a decision without a label)."""
    common = {
        "id": label_id,
        "agent": row.agent,
        "key": row.key,
        "decision_id": None if feed == "gold" else row.decision_id,
        "payload": row.payload if feed == "gold" else None,
        "source_id": f"{row.agent}/{row.id}",
        "confidence": 1.0,
        "inclusion": None,
        "by": row.by,
        "at": row.at,
        "created_at": at,
    }
    if feed == "gold":
        return common | {"source": Source.GOLD.value, "label": row.label, "polarity": Polarity.POSITIVE.value}
    if feed == "feedback" and row.label is not None:
        return common | {"source": Source.FEEDBACK.value, "label": row.label, "polarity": Polarity.POSITIVE.value}
    if row.served is None:
        return None
    yes = row.correct if feed == "feedback" else row.approved
    source = Source.FEEDBACK if feed == "feedback" else Source.APPROVAL
    polarity = Polarity.POSITIVE if yes else Polarity.NEGATIVE
    return common | {"source": source.value, "label": row.served, "polarity": polarity.value}


def _imported(row: ImportRow, spec: AgentSpec, name: str, label_id: str, at: datetime) -> dict[str, Any]:
    check_key(row.key)
    if row.label not in spec.labels:
        raise InvalidInputError(
            f"label {row.label[:60]!r} is no label of {spec.agent}; it has {', '.join(spec.labels)}"
        )
    if not 0 < row.confidence <= 1:
        raise InvalidInputError(f"confidence: a number in (0, 1] is needed, got {row.confidence}")
    if row.at is not None and row.at.tzinfo is None:
        raise InvalidInputError(f"at: a time with its zone is needed, got {row.at.isoformat()}")
    if row.by is not None:
        check_name("by", row.by)
    if row.decision_id is not None and not is_id(row.decision_id):
        raise InvalidInputError(f"decision_id: a UUID in lower-case text is needed, got {row.decision_id[:60]!r}")
    if row.payload is not None:
        check_payload_size(row.payload)
        check_payload(row.payload)
    return {
        "id": label_id,
        "agent": spec.agent,
        "key": row.key,
        "decision_id": row.decision_id,
        "payload": row.payload,
        "label": row.label,
        "polarity": row.polarity.value,
        "source": Source.IMPORT.value,
        "source_id": _source_id(spec.agent, name, row),
        "confidence": row.confidence,
        "inclusion": None,
        "by": row.by,
        "at": row.at or at,
        "created_at": at,
    }


def _source_id(agent: str, name: str, row: ImportRow) -> str:
    """One answer per import and key; several that rule out different labels stand beside each other."""
    text = f"{agent}/{name}/{row.key}" + (f"/not {row.label}" if row.polarity is Polarity.NEGATIVE else "")
    if len(text) <= MAX_SOURCE_ID:
        return text
    return f"{text[:200]}…{hashlib.sha256(text.encode()).hexdigest()}"


def _check_repeat(said: dict[str, str], values: Mapping[str, Any]) -> None:
    """Refuse a row that contradicts an earlier one of the same import; an equal one is harmless."""
    before = said.setdefault(values["source_id"], values["label"])
    if before != values["label"]:
        raise InvalidInputError(
            f"key {values['key'][:60]!r} was given the label {before!r} before and {values['label']!r} now; keep one"
        )
