"""The keys that evidence packets are signed with: registered when first used, rotated by a person."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from trimtab.core.rights import Actor, Right
from trimtab.plugins import signing
from trimtab.plugins.signing import Signer
from trimtab.services.context import Context, audit
from trimtab.store import chains
from trimtab.store.engine import reading, writing


class Signing:
    """Public keys, and the change of the private one."""

    def __init__(self, context: Context, path: Path) -> None:
        self._context = context
        self._path = path

    def keys(self, actor: Actor) -> list[Any]:
        """Every public key that packets were signed with, the oldest first. Publish them where auditors look."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return chains.signing_keys_in_order(connection)

    def rotate(self, actor: Actor) -> Signer:
        """Make a new private key; earlier packets stay verifiable. Running processes use it after their restart."""
        actor.require(Right.CONFIGURE)
        signer = signing.rotate(self._path)
        with writing(self._context.engine) as connection:
            register_key(connection, signer, actor, self._context.now())
        return signer


def register_key(connection: Connection, signer: Signer, actor: Actor, at: datetime) -> None:
    """Remember the public key the first time it is used, with an audit event of its own."""
    if chains.add_signing_key(connection, key_id=signer.key_id, public_key=signer.public_key, at=at, by=actor.name):
        details = {"key_id": signer.key_id, "public_key": signer.public_key}
        audit(connection, actor=actor, at=at, action="signing_key.register", subject="signing", details=details)
