"""API keys: their form, their fingerprint, and whether one may still be used.

A key reads `tt_<prefix>_<secret>`. The prefix is public: it finds the row and names the key in lists. The secret is 256
random bits, shown once; what is kept is its SHA-256. A slow password hash would protect guessable secrets only, and
nobody guesses one of 2²⁵⁶, so the fast one is right: it is computed for every request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from trimtab.core.rights import SYSTEM, Actor, Role
from trimtab.errors import InvalidInputError

PREFIX_BYTES = 5  # 8 characters of base 32
SECRET_BYTES = 32  # 43 characters of base 64
LONGEST_LIFE = timedelta(days=3650)
_FORM = re.compile(r"tt_([a-z2-7]{8})_([A-Za-z0-9_-]{43})")
_PREFIX = re.compile(r"[a-z2-7]{8}")
_NOBODYS = "0" * 64  # no secret has this fingerprint
# Audit and packets tell the guard's own actions by this name; nobody else may bear it.
_RESERVED = frozenset({SYSTEM.name})


class KeyState(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class SplitKey(NamedTuple):
    """A key taken apart."""

    prefix: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is remembered of a key. `name` is the actor that it stands for."""

    id: str
    name: str
    prefix: str
    sha256: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    def state(self, at: datetime) -> KeyState:
        """Whether the key may be used at the moment `at`."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at <= at else KeyState.ACTIVE

    @property
    def actor(self) -> Actor:
        """Who acts with this key."""
        return Actor(name=self.name, role=self.role)


def forge(randomness: bytes) -> SplitKey:
    """A new key of 37 random bytes."""
    if len(randomness) != PREFIX_BYTES + SECRET_BYTES:
        raise InvalidInputError(f"randomness: {PREFIX_BYTES + SECRET_BYTES} bytes are needed, got {len(randomness)}")
    prefix = base64.b32encode(randomness[:PREFIX_BYTES]).decode().lower()
    secret = base64.urlsafe_b64encode(randomness[PREFIX_BYTES:]).decode().rstrip("=")
    return SplitKey(prefix, secret)


def joined(key: SplitKey) -> str:
    """The key as it is given to its holder."""
    return f"tt_{key.prefix}_{key.secret}"


def split(text: str) -> SplitKey | None:
    """The parts of a key; None for a text that cannot be one."""
    found = _FORM.fullmatch(text)
    return SplitKey(found.group(1), found.group(2)) if found else None


def fingerprint(secret: str) -> str:
    """What is kept of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()


def opens(key: ApiKey | None, secret: str) -> bool:
    """Whether `secret` is the key's. Takes the same time for every wrong secret, and where there is no key."""
    return hmac.compare_digest(_NOBODYS if key is None else key.sha256, fingerprint(secret))


def is_prefix(text: str) -> bool:
    """Whether `text` can be a key's public prefix."""
    return _PREFIX.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Raises InvalidInputError for a name that would read like another actor's."""
    if name != name.strip() or "  " in name:
        raise InvalidInputError(f"name: no spaces at its ends and no two in a row, got {name!r:.60}")
    if name.casefold() in _RESERVED:
        raise InvalidInputError(f"name: {name!r:.60} is Trimtab's own; choose another")


def check_life(life: timedelta) -> None:
    """Raises InvalidInputError unless a key would live for more than nothing and at most ten years."""
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise InvalidInputError(f"expiry: 1 to {LONGEST_LIFE.days} days are needed; every key ends some day")
