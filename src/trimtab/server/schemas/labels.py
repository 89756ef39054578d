"""The labelled store over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trimtab.server.schemas.common import AgentName, Given, Shown


class LabelStats(Shown):
    """The labelled store in figures. What is counted for one agent only is null or empty without one."""

    total: int
    by_agent: dict[str, int]
    by_source: dict[str, int]
    by_label: dict[str, int]
    negative: int = Field(description="Labels that say which answer is wrong.")
    last_day: int
    last_week: int
    conflicts: int | None = Field(description="Keys on which sources contradict each other.")
    source_reliability: dict[str, tuple[float, int]] = Field(description="Source: measured worth in [0, 1], and its n.")
    waiting: dict[str, int] = Field(description="What feeds have not loaded yet.")


class FeedsToLoad(Given):
    """Which feeds to load; all of all agents where nothing is said."""

    agent: AgentName | None = None
    feed: Annotated[Literal["feedback", "approvals", "gold"] | None, Field(description="This feed only.")] = None


class FeedReport(Shown):
    agent: str
    feed: str
    added: int
    present: int = Field(description="Labels that were there already.")
    waiting: int = Field(description="Rows whose decision is not known yet.")


class FeedReports(Shown):
    feeds: list[FeedReport]
