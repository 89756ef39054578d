"""What happened: the audit log and the evidence packets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.server.dependencies import Limit, Services, Who, needs
from trimtab.server.schemas.history import AuditEvents, Packet

router = APIRouter(tags=["history"])


@router.get("/packets/{sha256}", response_model=Packet, openapi_extra=needs(Right.READ))
def packet(services: Services, who: Who, sha256: str) -> Any:
    """An evidence packet by its hash, or at least 6 characters of it: everything that a verdict rests on."""
    return plain(services.history.packet(who, sha256))


@router.get("/audit", response_model=AuditEvents, openapi_extra=needs(Right.READ))
def audit(
    services: Services,
    who: Who,
    # PostgreSQL knows no text with U+0000, so nothing is about such a subject.
    subject: Annotated[
        str | None, Query(max_length=300, pattern=r"^[^\x00]*$", description="About this agent (or loop, keys).")
    ] = None,
    limit: Limit = 50,
) -> Any:
    """The newest audit events first: who did what, when, and why."""
    return {"events": plain(services.history.audit(who, limit=limit, subject=subject))}
