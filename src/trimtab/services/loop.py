"""The loop as a whole: pausing it, and what it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trimtab.core.rights import Actor, Right
from trimtab.services.context import Context, audit, check_text
from trimtab.services.rollout_moves import PAUSED
from trimtab.store import agents as agent_store
from trimtab.store import events as event_store
from trimtab.store import labels as label_store
from trimtab.store import proposals as proposal_store
from trimtab.store import reviews as review_store
from trimtab.store import rollouts as rollout_store
from trimtab.store import settings as settings_store
from trimtab.store.engine import reading, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """Where one agent stands."""

    agent: str
    champion: str | None
    challenger: str | None
    share: float
    kill_switch: bool
    decisions: int
    labels: int
    open_questions: int
    open_proposals: int
    rollout: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where the loop stands."""

    paused: bool
    agents: tuple[AgentStatus, ...]


class Loop:
    """The learning loop's main switch and overview."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def pause(self, actor: Actor, *, reason: str) -> None:
        """Stop jobs, advances and promotions. Decisions are served, and the guard may still roll back."""
        self._set(actor, paused=True, reason=reason)

    def resume(self, actor: Actor, *, reason: str) -> None:
        """Let the loop turn again."""
        self._set(actor, paused=False, reason=reason)

    def _set(self, actor: Actor, *, paused: bool, reason: str) -> None:
        actor.require(Right.ROLL_OUT)
        check_text("reason", reason, needed=True)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            if bool(settings_store.read(connection, PAUSED)) == paused:
                return
            settings_store.write(connection, PAUSED, paused, at=at, by=actor.name)
            action = "loop.pause" if paused else "loop.resume"
            audit(connection, actor=actor, at=at, action=action, subject="loop", details={"reason": reason})

    def paused(self) -> bool:
        """Whether somebody paused the loop."""
        with reading(self._context.engine) as connection:
            return bool(settings_store.read(connection, PAUSED))

    def status(self, actor: Actor) -> Status:
        """Every agent at a glance."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            paused = bool(settings_store.read(connection, PAUSED))
            agents = []
            for pointer in agent_store.all_pointers(connection):
                live = rollout_store.live(connection, pointer.agent)
                stats = review_store.stats(connection, agent=pointer.agent)
                proposals = proposal_store.listing(connection, agent=pointer.agent, limit=1000)
                agents.append(
                    AgentStatus(
                        agent=pointer.agent,
                        champion=pointer.champion,
                        challenger=pointer.challenger,
                        share=pointer.share,
                        kill_switch=pointer.kill_switch,
                        decisions=event_store.count_decisions(connection, pointer.agent),
                        labels=sum(row.n for row in label_store.counts(connection, agent=pointer.agent)),
                        open_questions=sum(n for state, _, n in stats if state in ("open", "claimed")),
                        open_proposals=sum(one.state in ("draft", "pending", "approved") for one in proposals),
                        rollout=None
                        if live is None
                        else {
                            "id": live.id,
                            "state": live.state.value,
                            "step": live.step,
                            "share": live.share,
                            "assessment": live.assessment,
                        },
                    )
                )
            return Status(paused=paused, agents=tuple(agents))
