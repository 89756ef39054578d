"""Who may do what: one table of role x right, asked by every service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trimtab.errors import ForbiddenError, InvalidInputError


class Role(StrEnum):
    VIEWER = "viewer"  # reads
    AGENT = "agent"  # sends events and reads what to serve, nothing else
    REVIEWER = "reviewer"  # answers questions
    APPROVER = "approver"  # decides on proposals
    OPERATOR = "operator"  # trains, proposes, runs rollouts and jobs
    ADMIN = "admin"  # everything


class Right(StrEnum):
    READ = "read"
    INGEST = "ingest"
    REVIEW = "review"
    LABEL = "label"
    TRAIN = "train"
    PROPOSE = "propose"
    APPROVE = "approve"
    ROLL_OUT = "roll_out"
    RUN_JOBS = "run_jobs"
    CONFIGURE = "configure"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.AGENT: frozenset({Right.INGEST}),
    Role.REVIEWER: frozenset({Right.READ, Right.REVIEW, Right.LABEL}),
    Role.APPROVER: frozenset({Right.READ, Right.REVIEW, Right.LABEL, Right.APPROVE}),
    Role.OPERATOR: frozenset(Right) - {Right.APPROVE, Right.CONFIGURE},
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: taken from authentication, never from the body of a request."""

    name: str
    role: Role

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 200 or not self.name.isprintable():
            raise InvalidInputError(f"actor: a name of 1 to 200 printable characters is needed, got {self.name!r:.60}")

    def require(self, right: Right) -> None:
        """Raises ForbiddenError when the actor's role does not carry `right`."""
        self.require_any(right)

    def require_any(self, *rights: Right) -> None:
        """Raises ForbiddenError when the actor's role carries none of `rights`."""
        if RIGHTS[self.role].isdisjoint(rights):
            who = ", ".join(sorted(role.value for role, held in RIGHTS.items() if not held.isdisjoint(rights)))
            what = " or ".join(rights)
            raise ForbiddenError(f"{self.name} is {self.role} and may not {what}: ask one of these roles: {who}")


SYSTEM = Actor(name="trimtab", role=Role.ADMIN)
