"""API keys: made and revoked by an administrator, shown once, checked at every request."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from trimtab.core import api_keys
from trimtab.core.api_keys import ApiKey, KeyState, fingerprint
from trimtab.core.rights import Actor, Right, Role
from trimtab.errors import ConflictError, NotFoundError, StorageError, UnauthenticatedError
from trimtab.services.context import Context, audit, is_id
from trimtab.store import api_keys as key_store
from trimtab.store.engine import lock_name, reading, writing

log = logging.getLogger(__name__)

LIFE = timedelta(days=365)
USE_NOTED_EVERY = timedelta(minutes=1)
FIRST_NAME = "local admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. `text` is the only copy of the whole key that there will ever be."""

    text: str
    key: ApiKey


class ApiKeys:
    """Who may call the API, and as whom."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, actor: Actor, name: str, role: Role, *, life: timedelta = LIFE) -> NewKey:
        """Make a key that acts as `name` in `role`. A second key of the same name replaces a first one in peace."""
        actor.require(Right.CONFIGURE)
        with writing(self._context.engine) as connection:
            return self._create(connection, actor, name, role, life)

    def create_first(self, actor: Actor) -> NewKey | None:
        """An administrator's key where none was ever made, else None. Two at once make one."""
        actor.require(Right.CONFIGURE)
        with writing(self._context.engine) as connection:
            lock_name(connection, "api_keys/first")
            if key_store.any_at_all(connection):
                return None
            return self._create(connection, actor, FIRST_NAME, Role.ADMIN, LIFE)

    def _create(self, connection: Connection, actor: Actor, name: str, role: Role, life: timedelta) -> NewKey:
        api_keys.check_name(Actor(name=name, role=role).name)
        api_keys.check_life(life)
        at = self._context.now()
        parts = api_keys.forge(self._context.randomness(api_keys.PREFIX_BYTES + api_keys.SECRET_BYTES))
        key = ApiKey(
            id=self._context.new_id(),
            name=name,
            prefix=parts.prefix,
            sha256=fingerprint(parts.secret),
            role=role,
            created_at=at,
            created_by=actor.name,
            expires_at=at + life,
            revoked_at=None,
            last_used_at=None,
        )
        key_store.add(connection, key)
        _audit(connection, actor, at, "key.create", key)
        return NewKey(text=api_keys.joined(parts), key=key)

    def listing(self, actor: Actor) -> list[tuple[ApiKey, KeyState]]:
        """Every key that was ever made with its present state, the newest first; never a secret."""
        actor.require(Right.CONFIGURE)
        now = self._context.now()
        with reading(self._context.engine) as connection:
            return [(key, key.state(now)) for key in key_store.listing(connection)]

    def usable(self) -> int:
        """How many keys may be used now."""
        now = self._context.now()
        with reading(self._context.engine) as connection:
            return sum(key.state(now) is KeyState.ACTIVE for key in key_store.listing(connection))

    def revoke(self, actor: Actor, name: str) -> ApiKey:
        """End a key at once, by its id or its public prefix. Raises NotFoundError or ConflictError."""
        actor.require(Right.CONFIGURE)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            found = _find(connection, name)
            if found is None:
                raise NotFoundError(f"key {name[:40]!r} does not exist; list them with: trimtab keys list")
            if not key_store.revoke(connection, found.id, at=at):
                raise ConflictError(f"key {found.prefix} of {found.name} was revoked already")
            _audit(connection, actor, at, "key.revoke", found)
            return replace(found, revoked_at=at)

    def authenticate(self, text: str) -> Actor:
        """Who a key stands for. Raises UnauthenticatedError; only who holds the secret learns why."""
        parts = api_keys.split(text)
        if parts is None:
            raise UnauthenticatedError("this is no key of Trimtab's; one begins with tt_")
        now = self._context.now()
        with reading(self._context.engine) as connection:
            key = key_store.by_prefix(connection, parts.prefix)
        if not api_keys.opens(key, parts.secret) or key is None:
            raise UnauthenticatedError("this key is not known here; ask an administrator for one")
        state = key.state(now)
        if state is not KeyState.ACTIVE:
            raise UnauthenticatedError(f"this key ({key.prefix}) is {state}; ask an administrator for a new one")
        self._note_use(key, now)
        return key.actor

    def _note_use(self, key: ApiKey, now: datetime) -> None:
        since = now - USE_NOTED_EVERY
        if key.last_used_at is not None and key.last_used_at > since:
            return
        try:
            with writing(self._context.engine) as connection:
                key_store.note_use(connection, key.id, at=now, unless_since=since)
        except StorageError as error:
            # A request that only reads must work while the database takes no writes.
            log.warning("the use of key %s could not be noted: %s", key.prefix, error)


def _find(connection: Connection, name: str) -> ApiKey | None:
    if is_id(name):
        return key_store.get(connection, name)
    return key_store.by_prefix(connection, name) if api_keys.is_prefix(name) else None


def _audit(connection: Connection, actor: Actor, at: datetime, action: str, key: ApiKey) -> None:
    details = {"key": key.id, "prefix": key.prefix, "name": key.name, "role": key.role.value}
    details["expires_at"] = key.expires_at.isoformat()
    audit(connection, actor=actor, at=at, action=action, subject="keys", details=details)
