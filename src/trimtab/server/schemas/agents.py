"""Agents over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trimtab.server.schemas.common import Document, Moment, Share, Shown


class AgentRow(Shown):
    """An agent at a glance."""

    agent: str
    version: int = Field(description="The version of its spec.")
    description: str
    labels: list[str]
    features: int = Field(description="How many features its spec has.")
    champion: str | None
    challenger: str | None
    share: Share
    kill_switch: bool


class AgentList(Shown):
    agents: list[AgentRow]


class Pointer(Shown):
    """What an agent serves: the champion to everybody, a challenger to `share` of the keys while a rollout runs."""

    agent: str
    champion: str | None
    previous: list[str] = Field(description="Earlier champions, the newest last.")
    challenger: str | None
    rollout_id: str | None
    step: int | None
    share: Share
    salt: str
    kill_switch: bool
    version: int
    updated_at: Moment


class AgentShown(Shown):
    spec: Document
    version: int
    serving: Pointer


class Serving(Shown):
    """The one small document that an agent's process needs."""

    document_schema: Annotated[str, Field(alias="schema")]
    agent: str
    version: int
    labels: list[str]
    champion: Document | None
    challenger: Document | None
    rollout_id: str | None
    step: int | None
    share: Share
    salt: str
    kill_switch: bool
    etag: str
