"""The audit log and the packets over HTTP."""

from __future__ import annotations

from pydantic import Field

from trimtab.server.schemas.common import Document, Moment, Sha256, Shown


class AuditEvent(Shown):
    seq: int
    previous: Sha256 = Field(description="The hash of the event before it.")
    at: Moment
    actor: str
    role: str
    action: str
    subject: str
    details: Document
    sha256: Sha256


class AuditEvents(Shown):
    events: list[AuditEvent]


class Packet(Shown):
    """Everything that a verdict rests on, signed."""

    sha256: Sha256
    signature: str | None = Field(description="Ed25519 over the canonical body, base64.")
    key_id: str | None
    body: Document
