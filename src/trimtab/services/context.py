"""What every service works with: the database, the time, chance, and a few steps that all of them take."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine

from trimtab.clock import Clock
from trimtab.core.agents import AGENT_PATTERN, AgentSpec
from trimtab.core.bundles import Bundle
from trimtab.core.canonical import canonical_json
from trimtab.core.ids import UUID_PATTERN, uuid7
from trimtab.core.rights import Actor
from trimtab.errors import ConflictError, InvalidInputError, NotFoundError
from trimtab.plugins.signing import Signer
from trimtab.store import agents as agent_store
from trimtab.store import bundles as bundle_store
from trimtab.store import chains
from trimtab.store.agents import Pointer

MAX_TEXT = 4000
_HASH_PREFIX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Handed to every service by the composition root."""

    engine: Engine
    clock: Clock
    randomness: Callable[[int], bytes]
    code_version: str
    signer: Signer

    def now(self) -> datetime:
        return self.clock.now()

    def new_id(self) -> str:
        return uuid7(self.clock.now(), self.randomness(10))


def audit(
    connection: Connection,
    *,
    actor: Actor,
    at: datetime,
    action: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """The one audit event of an action: the last statement of its transaction."""
    chains.append_audit(
        connection,
        at=at,
        actor=actor.name,
        role=actor.role.value,
        action=action,
        subject=subject,
        details=details or {},
    )


@lru_cache(maxsize=256)
def _parsed_spec(canonical: str) -> AgentSpec:
    return AgentSpec.from_mapping(json.loads(canonical))


def spec_of(connection: Connection, agent: str) -> AgentSpec:
    """The agent's newest spec. Raises NotFoundError naming the agents that exist."""
    row = agent_store.newest_spec(connection, agent) if AGENT_PATTERN.fullmatch(agent) else None
    if row is None:
        known = [one.agent for one in agent_store.newest_specs(connection)]
        there = f"known are {', '.join(known)}" if known else "there are none yet"
        raise NotFoundError(f"agent {agent[:80]!r} does not exist; {there}; add one with: trimtab agents add SPEC.toml")
    return _parsed_spec(canonical_json(row.spec))


def pointer_of(connection: Connection, agent: str, *, lock: bool = False) -> Pointer:
    """What the agent serves; with `lock` nobody else changes it meanwhile. Raises NotFoundError."""
    found = agent_store.pointer(connection, agent, lock=lock) if AGENT_PATTERN.fullmatch(agent) else None
    if found is None:
        spec_of(connection, agent)
        raise NotFoundError(f"agent {agent} has no pointer; add its spec again: trimtab agents add")
    return found


def swap(connection: Connection, old: Pointer, *, at: datetime, **changes: Any) -> None:
    """Change what an agent serves, or raise ConflictError when somebody else did in the meantime."""
    if not agent_store.swap_pointer(connection, old, at=at, **changes):
        raise ConflictError(f"{old.agent}: what it serves was changed by somebody else just now; look again and repeat")


@lru_cache(maxsize=64)
def _parsed_bundle(sha256: str, document: str) -> Bundle:
    return Bundle.from_json(document, expect_sha256=sha256)


def bundle_of(connection: Connection, name: str, *, agent: str | None = None) -> Bundle:
    """A bundle by its hash or the beginning of it (6 characters or more). Raises NotFoundError or ConflictError."""
    rows = bundle_store.by_prefix(connection, name, agent=agent) if is_hash_prefix(name) else []
    if not rows:
        of = f" of agent {agent}" if agent else ""
        raise NotFoundError(f"bundle {name[:64]!r}{of} does not exist; list them with: trimtab bundles list")
    if len(rows) > 1:
        raise ConflictError(f"bundle {name!r} is ambiguous: give more characters of its hash")
    return _parsed_bundle(rows[0].sha256, rows[0].document)


def bundle_or_none(connection: Connection, sha256: str | None) -> Bundle | None:
    return bundle_of(connection, sha256) if sha256 is not None else None


def is_id(text: str) -> bool:
    """Whether `text` can be an id at all; what cannot does not exist, and PostgreSQL would not even look."""
    return UUID_PATTERN.fullmatch(text) is not None


def is_hash_prefix(text: str) -> bool:
    """Whether `text` can begin a hash, with enough characters to be looked up."""
    return _HASH_PREFIX.fullmatch(text) is not None


def check_text(name: str, text: str | None, *, needed: bool = False) -> None:
    """Raises InvalidInputError when a person's words cannot be kept as they are, or are missing where needed."""
    if text is None:
        return
    if needed and not text.strip():
        raise InvalidInputError(f"{name}: say why, for whoever reads the history")
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"{name}: at most {MAX_TEXT} characters, got {len(text)}")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError(f"{name}: has a character that is no text; leave it out")


def seed_of(*names: str) -> int:
    """A reproducible seed for a draw: the same names give the same chance, whoever runs it."""
    return int.from_bytes(hashlib.sha256("\x1f".join(names).encode()).digest()[:8], "big")
