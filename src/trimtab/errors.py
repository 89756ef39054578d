"""The error tree: what can go wrong, under one name each.

Every class carries a stable `code` (for programs), an HTTP `status` (for the API) and an `exit_code` (for the shell).
The text of an error names the thing and the way out.

Exit codes: 0 ok · 1 a gate said no · 2 the input or the command line is wrong · 3 not found, or in conflict with the
present state · 4 not permitted · 5 the storage cannot be used.
"""

from __future__ import annotations

from typing import ClassVar


class TrimtabError(Exception):
    """Anything that Trimtab refuses or cannot do, said in words that a person can act on."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1


class InvalidInputError(TrimtabError):
    """An input from outside is not what it must be; nothing was stored."""

    code = "invalid_input"
    status = 422
    exit_code = 2


class InvalidSpecError(InvalidInputError):
    """An agent spec breaks a rule."""

    code = "invalid_spec"


class InvalidPayloadError(InvalidInputError):
    """A payload has a value that its agent's spec does not allow."""

    code = "invalid_payload"


class InvalidBundleError(InvalidInputError):
    """A bundle is malformed, hostile, edited, or made for another agent."""

    code = "invalid_bundle"


class InvalidPlanError(InvalidInputError):
    """A rollout's plan breaks a rule."""

    code = "invalid_plan"


class InvalidStatisticError(InvalidInputError):
    """A statistic was asked for outside its domain."""

    code = "invalid_statistic"


class SettingError(InvalidInputError):
    """A setting is unknown or has a value that it cannot take."""

    code = "invalid_setting"


class NotFoundError(TrimtabError):
    """The named thing does not exist."""

    code = "not_found"
    status = 404
    exit_code = 3


class ConflictError(TrimtabError):
    """The action does not fit the present state; somebody else may have been first."""

    code = "conflict"
    status = 409
    exit_code = 3


class IllegalTransitionError(ConflictError):
    """A lifecycle has no such step from its present state."""

    code = "illegal_transition"


class ForbiddenError(TrimtabError):
    """The actor may not do this."""

    code = "forbidden"
    status = 403
    exit_code = 4


class FourEyesError(ForbiddenError):
    """A proposer may not decide on the own proposal."""

    code = "four_eyes"


class GateError(TrimtabError):
    """A gate was asked and said no."""

    code = "gate_failed"
    status = 409
    exit_code = 1


class InsufficientDataError(GateError):
    """There is not enough evidence or data yet; the text says how much is missing."""

    code = "insufficient_data"


class BrokenChainError(GateError):
    """A hash chain or a packet does not prove what it claims; the text names the first broken link."""

    code = "broken_chain"


class StorageError(TrimtabError):
    """The database cannot be used: locked, full, read-only, unreachable or of another schema."""

    code = "storage_unavailable"
    status = 503
    exit_code = 5


class SchemaVersionError(StorageError):
    """The database was written by another version of Trimtab."""

    code = "schema_version"


class UnauthenticatedError(TrimtabError):
    """Nobody is known who asks: no key was given, or one that is unknown, revoked or expired."""

    code = "unauthenticated"
    status = 401
    exit_code = 4


class TooLargeError(InvalidInputError):
    """More was sent at once than one request may carry; nothing was stored."""

    code = "too_large"
    status = 413


class UnsupportedMediaError(InvalidInputError):
    """The body is in a form or an encoding that is not understood; nothing was stored."""

    code = "unsupported_media"
    status = 415
