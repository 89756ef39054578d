"""The client that an agent holds: decide, and say what became of it. It never raises and never blocks the agent."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trimtab.clock import Clock, SystemClock
from trimtab.core.assignment import Arm, bucket
from trimtab.core.bundles import Bundle
from trimtab.core.events import (
    AnyEvent,
    ApprovalEvent,
    DecisionEvent,
    FeedbackEvent,
    OutcomeEvent,
    VerdictEvent,
    check_event,
    check_key,
    check_payload_size,
)
from trimtab.core.ids import uuid7
from trimtab.core.policy import Explanation, explain
from trimtab.errors import InvalidInputError, TrimtabError
from trimtab.sdk.sender import Sender
from trimtab.sdk.serving import ServingState
from trimtab.sdk.transport import Transport, open_transport

log = logging.getLogger("trimtab")
REFRESH_S = 1.0


class Decision:
    """What was decided: use `label`; keep the whole to report what became of it."""

    __slots__ = (
        "agent",
        "arm",
        "at",
        "bundle",
        "confidence",
        "escalate",
        "id",
        "key",
        "label",
        "payload",
        "policy",
        "problem",
        "reason",
    )

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    id: str
    agent: str
    key: str
    at: datetime
    payload: Mapping[str, Any]
    label: str | None  # None only without a policy and without a fallback
    confidence: float | None
    escalate: bool  # ask a person
    arm: str
    bundle: str | None  # the SHA-256 of the policy that chose
    reason: str  # STATIC, SPLIT, DISABLED (kill switch), FALLBACK (nothing to serve), ERROR
    problem: str | None  # what went wrong, for FALLBACK and ERROR
    policy: Bundle | None

    @property
    def thresholds(self) -> list[dict[str, Any]]:
        """The values at which the policy's choice changes, one entry per numeric feature; empty without a policy."""
        return [dict(point) for point in self.policy.flip_points] if self.policy is not None else []

    def explain(self) -> Explanation | None:
        """Why this label, in features; None when no policy chose."""
        return explain(self.policy, self.payload, self.at) if self.policy is not None else None

    def __repr__(self) -> str:
        return f"<Decision {self.agent} {self.key!r}: {self.label!r} ({self.reason}, {self.arm})>"


class Client:
    """A connection to Trimtab. Made by `trimtab.connect`; share one per process."""

    def __init__(
        self, transport: Transport, *, clock: Clock | None = None, refresh_s: float | None = REFRESH_S
    ) -> None:
        self._transport = transport
        self._clock = clock or SystemClock()
        self._states: dict[str, ServingState] = {}
        self._wanted: set[str] = set()
        self._sender = Sender(transport)
        self._serving_error: str | None = None
        self._invalid = 0
        self._closed = threading.Event()
        self.refresh()
        if refresh_s is not None:
            threading.Thread(target=self._keep_fresh, args=(refresh_s,), name="trimtab-serving", daemon=True).start()
        atexit.register(self.close)

    def decide(
        self,
        agent: str,
        *,
        key: str,
        payload: Mapping[str, Any],
        fallback: str | None = None,
        decision_id: str | None = None,
    ) -> Decision:
        """The agent's choice for `key`. With nothing to serve it is `fallback`, and `reason` says why.

        The same key gets the same arm for as long as a rollout's share only grows. `decision_id` (a UUID) makes a
        repeated call harmless; by default every call is a decision of its own.
        """
        at = self._clock.now()
        values: dict[str, Any] = {
            "id": decision_id or uuid7(at, os.urandom(10)),
            "agent": agent,
            "key": key,
            "at": at,
            "payload": payload,
        }
        try:
            return self._decide(values, fallback)
        except Exception as error:  # noqa: BLE001 - the agent must live on whatever happens in here; it is said and counted
            self._invalid += 1
            log.warning("trimtab: decide(%s) fell back: %s", agent, error)
            return Decision(
                **values,
                label=fallback,
                escalate=fallback is None,
                arm=Arm.BASELINE.value,
                reason="ERROR",
                problem=str(error),
            )

    def _decide(self, values: dict[str, Any], fallback: str | None) -> Decision:
        agent, key, at = values["agent"], values["key"], values["at"]
        check_key(key)
        check_payload_size(values["payload"])
        state = self._states.get(agent)
        if state is None:
            self._wanted.add(agent)
        if state is None or state.champion is None or state.kill_switch:
            killed = state is not None and state.kill_switch
            problem = "the kill switch is on" if killed else f"nothing is served for agent {agent!r}"
            decision = Decision(
                **values,
                label=fallback,
                escalate=fallback is None,
                arm=Arm.BASELINE.value,
                reason="DISABLED" if killed else "FALLBACK",
                problem=problem,
            )
            if state is not None:
                self._log_decision(decision, None, None)
            return decision
        canary = state.challenger is not None and bucket(state.salt, key) < state.share
        policy = state.challenger if canary and state.challenger is not None else state.champion
        choice = policy.decide(values["payload"], at)
        shadow: str | None = None
        if state.challenger is not None:
            other = state.champion if canary else state.challenger
            shadow = other.decide(values["payload"], at).label
        decision = Decision(
            **values,
            label=choice.label,
            confidence=choice.confidence,
            escalate=choice.escalate,
            arm=Arm.CANARY.value if canary else Arm.BASELINE.value,
            bundle=policy.bundle.sha256,
            reason="SPLIT" if state.challenger is not None else "STATIC",
            policy=policy.bundle,
        )
        self._log_decision(decision, shadow, state if state.challenger is not None else None)
        return decision

    def _log_decision(self, decision: Decision, shadow: str | None, rollout: ServingState | None) -> None:
        self._sender.put(
            DecisionEvent(
                id=decision.id,
                agent=decision.agent,
                key=decision.key,
                at=decision.at,
                payload=dict(decision.payload),
                label=decision.label,
                confidence=decision.confidence,
                escalate=decision.escalate,
                reason=decision.reason,
                bundle=decision.bundle,
                arm=decision.arm,
                shadow_label=shadow,
                discordant=shadow is not None and shadow != decision.label,
                rollout_id=rollout.rollout_id if rollout else None,
                step=rollout.step if rollout else None,
            )
        )

    def outcome(
        self,
        decision: Decision,
        *,
        score: float | None = None,
        latency_ms: float | None = None,
        cost_usd: float | None = None,
        failed: bool | None = None,
        event_id: str | None = None,
    ) -> bool:
        """Report what became of a decision: `score` in [0, 1], higher is better. False when it was refused."""
        return self._report(
            decision, OutcomeEvent, event_id, score=score, latency_ms=latency_ms, cost_usd=cost_usd, failed=failed
        )

    def feedback(
        self,
        decision: Decision,
        *,
        correct: bool | None = None,
        label: str | None = None,
        by: str | None = None,
        event_id: str | None = None,
    ) -> bool:
        """Report a person's thumb (`correct`) or correction (`label`). False when it was refused."""
        return self._report(decision, FeedbackEvent, event_id, correct=correct, label=label, by=by)

    def approval(
        self, decision: Decision, *, approved: bool, by: str | None = None, event_id: str | None = None
    ) -> bool:
        """Report that a person approved or rejected the action that the decision led to. False when it was refused."""
        return self._report(decision, ApprovalEvent, event_id, approved=approved, by=by)

    def verdict(
        self,
        decision: Decision,
        *,
        judge: str,
        label: str,
        confidence: float | None = None,
        event_id: str | None = None,
    ) -> bool:
        """Report a judge's label. `judge` is `name@version`: another prompt or model is another version."""
        name, _, version = judge.partition("@")
        return self._report(
            decision,
            VerdictEvent,
            event_id,
            judge=name,
            version=version or "unversioned",
            label=label,
            confidence=confidence,
        )

    def _report(self, decision: Decision, kind: type[Any], event_id: str | None, **values: Any) -> bool:
        at = self._clock.now()
        try:
            event: AnyEvent = kind(
                id=event_id or uuid7(at, os.urandom(10)), agent=decision.agent, at=at, decision_id=decision.id, **values
            )
            state = self._states.get(decision.agent)
            if state is not None:
                check_event(event, state.labels)
        except (InvalidInputError, TypeError, AttributeError) as error:
            self._invalid += 1
            log.warning("trimtab: %s refused: %s", kind.__name__, error)
            return False
        self._sender.put(event)
        return True

    def refresh(self) -> None:
        """Fetch what to serve now. Called by a thread of its own; call it yourself only to be sure at once."""
        try:
            names = {*self._transport.agents(), *self._states, *self._wanted}
            for agent in sorted(names):
                before = self._states.get(agent)
                document = self._transport.serving(agent, known_version=before.version if before else None)
                if document is not None:
                    self._states[agent] = ServingState(document, before=before)
                    self._wanted.discard(agent)
            self._serving_error = None
        except TrimtabError as error:
            self._serving_error = str(error)  # the last good state goes on serving

    def _keep_fresh(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            self.refresh()

    @property
    def state(self) -> dict[str, Any]:
        """What works and what does not: versions served, events queued, sent, refused and dropped, last errors."""
        return {
            "agents": {agent: state.version for agent, state in sorted(self._states.items())},
            "serving_error": self._serving_error,
            "queued": self._sender.queued,
            "sent": self._sender.sent,
            "duplicate": self._sender.duplicate,
            "rejected": self._sender.rejected,
            "dropped": self._sender.dropped,
            "refused": self._invalid,
            "send_error": self._sender.last_error,
            "last_rejection": self._sender.last_rejection,
        }

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything reported so far is stored; False when `timeout` seconds were not enough."""
        return self._sender.flush(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Flush, stop the threads and give back connections; False when something could not be delivered."""
        if self._closed.is_set():
            return True
        self._closed.set()
        atexit.unregister(self.close)
        delivered = self._sender.close(timeout)
        self._transport.close()
        return delivered

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    url: str | None = None,
    *,
    api_key: str | None = None,
    clock: Clock | None = None,
    refresh_s: float | None = REFRESH_S,
) -> Client:
    """Connect to Trimtab: `sqlite:///FILE` or `postgresql://…` in-process. Default: TRIMTAB_URL, TRIMTAB_API_KEY.

    Raises SettingError for a URL that cannot be used, StorageError when a database cannot be opened: connecting is the
    one moment when an agent should hear about it.
    """
    where = url or os.environ.get("TRIMTAB_URL") or os.environ.get("TRIMTAB_DATABASE_URL") or "sqlite:///trimtab.db"
    transport = open_transport(where, api_key=api_key or os.environ.get("TRIMTAB_API_KEY"), clock=clock)
    return Client(transport, clock=clock, refresh_s=refresh_s)
