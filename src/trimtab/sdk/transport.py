"""How a client reaches Trimtab: a protocol, and finding the implementation for a URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from trimtab.core.events import AnyEvent
from trimtab.errors import SettingError

GROUP = "trimtab.transports"


class Sent(NamedTuple):
    """What became of a batch: counts, and the reasons of what was rejected."""

    accepted: int
    duplicate: int
    rejected: int
    reasons: tuple[str, ...]


class Transport(Protocol):
    """Delivers events and fetches what to serve. Called from the client's own thread, never from the agent's."""

    def agents(self) -> Sequence[str]:
        """The agents that can be served."""
        ...

    def serving(self, agent: str, *, known_version: int | None) -> Mapping[str, Any] | None:
        """The agent's serving document; None when it still is `known_version`. Raises TrimtabError."""
        ...

    def send(self, events: Sequence[AnyEvent]) -> Sent:
        """Deliver a batch durably. Raises TrimtabError when it must be sent again (ids make that harmless)."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


def open_transport(url: str, *, api_key: str | None, clock: Any) -> Transport:
    """The transport for a URL's scheme. Raises SettingError for an unknown scheme or a missing extra."""
    scheme = url.split(":", 1)[0].split("+", 1)[0]
    found = [point for point in entry_points(group=GROUP) if point.name == scheme]
    if not found:
        known = ", ".join(sorted(point.name for point in entry_points(group=GROUP)))
        raise SettingError(f"url: {scheme!r} is no known kind of connection; there are {known}")
    try:
        factory = found[0].load()
    except ImportError as error:
        raise SettingError(
            f"url: {scheme} connections need more packages ({error}): pip install 'trimtab[server]'"
        ) from error
    transport: Transport = factory(url, api_key=api_key, clock=clock)
    return transport
