"""What agents send: decisions and what became of them. One shape for the SDK, the API and the store.

Every event carries its own id, so sending it twice is harmless.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from trimtab.core.canonical import canonical_json
from trimtab.core.ids import UUID_PATTERN
from trimtab.errors import InvalidInputError, InvalidPayloadError

MAX_KEY = 200
MAX_NAME = 200
MAX_PAYLOAD_BYTES = 65_536
MAX_PAYLOAD_DEPTH = 32
MAX_STEP = 99
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # an escaped U+0000, not an escaped backslash before "u0000"
_HASH = re.compile(r"[0-9a-f]{64}")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What all events have in common."""

    id: str
    agent: str
    at: datetime


class DecisionEvent(Event, frozen=True, kw_only=True, tag="decision"):
    """One served choice, with the other arm's choice in shadow while a rollout runs."""

    key: str
    payload: dict[str, Any]
    label: str | None
    confidence: float | None
    escalate: bool
    reason: str
    bundle: str | None
    arm: str
    shadow_label: str | None = None
    discordant: bool = False
    rollout_id: str | None = None
    step: int | None = None


class OutcomeEvent(Event, frozen=True, kw_only=True, tag="outcome"):
    """What became of a served decision. At least one figure is given."""

    decision_id: str
    score: float | None = None
    latency_ms: float | None = None
    cost_usd: float | None = None
    failed: bool | None = None


class FeedbackEvent(Event, frozen=True, kw_only=True, tag="feedback"):
    """A thumb or a correction from a person."""

    decision_id: str
    correct: bool | None = None
    label: str | None = None
    by: str | None = None


class VerdictEvent(Event, frozen=True, kw_only=True, tag="verdict"):
    """A judge's label for a decision, with its stated probability."""

    decision_id: str
    judge: str
    version: str
    label: str
    confidence: float | None = None


class ApprovalEvent(Event, frozen=True, kw_only=True, tag="approval"):
    """A person approved or rejected the action that the agent wanted to take."""

    decision_id: str
    approved: bool
    by: str | None = None


AnyEvent = DecisionEvent | OutcomeEvent | FeedbackEvent | VerdictEvent | ApprovalEvent


def check_event(event: AnyEvent, labels: Sequence[str]) -> None:
    """Refuse what would poison the store. Raises InvalidInputError naming the field and the way out."""
    _check_id("id", event.id)
    if event.at.tzinfo is None or not _EARLIEST <= event.at < _LATEST:
        raise InvalidInputError(f"at: an aware time between 2000 and 2200 is needed, got {event.at.isoformat()}")
    if isinstance(event, DecisionEvent):
        _check_decision(event, labels)
        return
    _check_id("decision_id", event.decision_id)
    if isinstance(event, OutcomeEvent):
        _check_outcome(event)
    elif isinstance(event, VerdictEvent):
        check_name("judge", event.judge)
        check_name("version", event.version)
        _check_label("label", event.label, labels)
        _check_probability("confidence", event.confidence)
    elif isinstance(event, FeedbackEvent):
        if event.correct is None and event.label is None:
            raise InvalidInputError("feedback: say `correct`, or the right `label`, or both")
        _check_label("label", event.label, labels)
        _check_person(event.by)
    elif isinstance(event, ApprovalEvent):
        _check_person(event.by)


def check_key(key: str) -> None:
    """Raises InvalidInputError unless `key` is 1 to 200 printable characters."""
    if not key or len(key) > MAX_KEY or not key.isprintable():
        raise InvalidInputError(f"key: 1 to {MAX_KEY} printable characters are needed, got {key[:60]!r}")


def check_payload_size(payload: dict[str, Any]) -> None:
    """Raises InvalidPayloadError when a payload nests too deeply, is too large, or holds NaN or infinity."""
    level: list[Any] = [payload]
    for depth in range(MAX_PAYLOAD_DEPTH + 1):
        level = [
            child
            for value in level
            if isinstance(value, dict | list | tuple)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            break
        if depth == MAX_PAYLOAD_DEPTH:
            raise InvalidPayloadError(
                f"payload: nested deeper than {MAX_PAYLOAD_DEPTH} levels; send the parts that matter"
            )
    try:
        text = canonical_json(payload)
        size = len(text.encode())
    except (ValueError, TypeError) as error:
        raise InvalidPayloadError(f"payload: not plain JSON ({error}); leave out or replace such values") from None
    if _NUL.search(text):
        raise InvalidPayloadError("payload: a text holds the character U+0000, which is no text; leave it out")
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidPayloadError(
            f"payload: {size} bytes of JSON, at most {MAX_PAYLOAD_BYTES}; send the parts that matter"
        )


def _check_decision(event: DecisionEvent, labels: Sequence[str]) -> None:
    check_key(event.key)
    check_payload_size(event.payload)
    _check_label("label", event.label, labels)
    _check_label("shadow_label", event.shadow_label, labels)
    _check_probability("confidence", event.confidence)
    if event.arm not in ("baseline", "canary"):
        raise InvalidInputError(f"arm: baseline or canary, got {event.arm[:60]!r}")
    if len(event.reason) > 16 or not event.reason.isprintable():
        raise InvalidInputError(f"reason: at most 16 printable characters, got {event.reason[:60]!r}")
    if event.bundle is not None and not _HASH.fullmatch(event.bundle):
        raise InvalidInputError("bundle: the 64 hex characters of a SHA-256 are needed")
    if event.rollout_id is not None:
        _check_id("rollout_id", event.rollout_id)
    if event.step is not None and not 0 <= event.step <= MAX_STEP:
        raise InvalidInputError(f"step: a whole number from 0 to {MAX_STEP} is needed, got {event.step}")


def _check_outcome(event: OutcomeEvent) -> None:
    if event.score is None and event.latency_ms is None and event.cost_usd is None and event.failed is None:
        raise InvalidInputError("outcome: give at least one of score, latency_ms, cost_usd, failed")
    _check_probability("score", event.score)
    for name, value in (("latency_ms", event.latency_ms), ("cost_usd", event.cost_usd)):
        if value is not None and not (math.isfinite(value) and 0 <= value < 1e12):
            raise InvalidInputError(f"{name}: a finite number of at least 0 is needed, got {value}")


def _check_id(name: str, value: str) -> None:
    if not UUID_PATTERN.fullmatch(value):
        raise InvalidInputError(f"{name}: a UUID in lower-case text is needed, got {value[:60]!r}")


def check_name(name: str, value: str) -> None:
    """Raises InvalidInputError unless `value` is 1 to 200 printable characters."""
    if not value or len(value) > MAX_NAME or not value.isprintable():
        raise InvalidInputError(f"{name}: 1 to {MAX_NAME} printable characters are needed, got {value[:60]!r}")


def _check_person(name: str | None) -> None:
    if name is not None:
        check_name("by", name)


def _check_label(name: str, value: str | None, labels: Sequence[str]) -> None:
    if value is not None and value not in labels:
        raise InvalidInputError(f"{name}: {value[:60]!r} is no label of this agent; it has {', '.join(labels)}")


def _check_probability(name: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
        raise InvalidInputError(f"{name}: a number in [0, 1] is needed, got {value}")
