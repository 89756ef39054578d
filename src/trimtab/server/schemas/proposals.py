"""Proposals and people's decisions on them over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trimtab.server.schemas.common import AgentName, Document, Given, Moment, Sha256, Shown, Words


class BundleToPropose(Given):
    """A bundle to put forward, with its evidence as of now."""

    agent: AgentName
    bundle: Annotated[str, Field(max_length=64, description="Its hash, or at least 6 characters of it.")]
    note: Annotated[str | None, Field(max_length=4000, description="What the approver should know.")] = None
    draft: Annotated[bool, Field(description="Ask nobody yet.")] = False


class Proposal(Shown):
    """A challenger put forward, with the evidence as it was at that moment."""

    id: str
    agent: str
    bundle: Sha256
    champion: str | None = Field(description="The champion that it was compared with.")
    state: str
    proposer: str
    note: str | None
    evidence: Document = Field(description="What changes, the held-out report, the replay over logged decisions.")
    decided_by: str | None
    decided_at: Moment | None
    reason: str | None
    created_at: Moment
    expires_at: Moment
    version: int


class ProposalList(Shown):
    proposals: list[Proposal]


class Approval(Given):
    """A yes; saying why is welcome."""

    reason: Words | None = None


class Application(Given):
    """How an approved challenger starts."""

    without_canary: Annotated[bool, Field(description="Serve everybody at once, without evidence. It is audited.")] = (
        False
    )
    plan: Annotated[Document | None, Field(description="A guard plan instead of the spec's own.")] = None


class Applied(Shown):
    proposal: Proposal
    rollout_id: str | None = Field(description="The rollout that began; null when it serves everybody at once.")
