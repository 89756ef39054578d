"""The SDK's transport into a database of this machine or network: services in the agent's own process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.bootstrap import Trimtab, build
from trimtab.clock import Clock
from trimtab.core.events import AnyEvent
from trimtab.core.rights import Actor, Role
from trimtab.sdk.transport import Sent
from trimtab.services.decisions import ReceiptStatus
from trimtab.settings import Settings
from trimtab.store import agents as agent_store
from trimtab.store.engine import reading

_AGENT = Actor(name="embedded agent", role=Role.AGENT)


class EmbeddedTransport:
    """Calls the services directly; the caller's threads are the client's own."""

    def __init__(self, url: str, *, api_key: str | None = None, clock: Clock | None = None) -> None:
        del api_key  # who can open the database needs no key
        self._trimtab = build(Settings(database_url=url), clock=clock)
        self._owned = True

    @classmethod
    def over(cls, trimtab: Trimtab) -> EmbeddedTransport:
        """A transport over services that somebody else built and will close."""
        transport = cls.__new__(cls)
        transport._trimtab = trimtab
        transport._owned = False
        return transport

    def agents(self) -> Sequence[str]:
        with reading(self._trimtab.engine) as connection:
            return [pointer.agent for pointer in agent_store.all_pointers(connection)]

    def serving(self, agent: str, *, known_version: int | None) -> Mapping[str, Any] | None:
        with reading(self._trimtab.engine) as connection:
            pointer = agent_store.pointer(connection, agent)
        if pointer is None or pointer.version == known_version:
            return None
        return self._trimtab.agents.serving(_AGENT, agent)

    def send(self, events: Sequence[AnyEvent]) -> Sent:
        receipts = self._trimtab.decisions.ingest(_AGENT, events)
        refused = tuple(one.reason or "" for one in receipts if one.status is ReceiptStatus.REJECTED)
        return Sent(
            accepted=sum(one.status is ReceiptStatus.ACCEPTED for one in receipts),
            duplicate=sum(one.status is ReceiptStatus.DUPLICATE for one in receipts),
            rejected=len(refused),
            reasons=refused,
        )

    def close(self) -> None:
        if self._owned:
            self._trimtab.close()
