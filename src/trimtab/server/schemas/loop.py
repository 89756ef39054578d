"""The loop as a whole over HTTP."""

from __future__ import annotations

from trimtab.server.schemas.common import Document, Share, Shown


class AgentStatus(Shown):
    agent: str
    champion: str | None
    challenger: str | None
    share: Share
    kill_switch: bool
    decisions: int
    labels: int
    open_questions: int
    open_proposals: int
    rollout: Document | None


class LoopStatus(Shown):
    paused: bool
    agents: list[AgentStatus]


class Paused(Shown):
    paused: bool


class Alive(Shown):
    status: str


class Ready(Shown):
    ready: bool
