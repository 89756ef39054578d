"""Running the server in this process: an address, a socket, uvicorn, the scheduler, and a clean end."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import uvicorn

from trimtab.bootstrap import Trimtab
from trimtab.errors import SettingError
from trimtab.jobs import Scheduler
from trimtab.server.app import create_app

GRACE_S = 10  # for requests under way when the process is told to end
BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen, resolved: what decides whether others can reach it is the number, not the name."""

    family: socket.AddressFamily
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def resolve(host: str, port: int) -> Address:
    """The address of a name; IPv4 where there are both. Raises SettingError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise SettingError(f"host: {host!r:.80} is no address of this machine ({error})") from None
    family, _, _, _, where = sorted(found, key=lambda one: one[0] is not socket.AF_INET)[0]
    return Address(family=family, host=str(where[0]), port=int(where[1]))


def listen(address: Address) -> socket.socket:
    """A listening socket: from here on connections wait instead of failing. Raises SettingError."""
    try:
        listening = socket.create_server((address.host, address.port), family=address.family, backlog=BACKLOG)
    except OSError as error:
        raise SettingError(
            f"port: {address.host}:{address.port} cannot be used ({error.strerror}); choose another with --port"
        ) from None
    # Connections inherit it. asyncio sets it only on sockets that it opens itself, and without it the body of an answer
    # waits some 40 ms for the other side to acknowledge the headers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def worker_name() -> str:
    """What this process is called in job runs."""
    return f"{socket.gethostname()}:{os.getpid()}"[:120]


def run(trimtab: Trimtab, listening: socket.socket, *, scheduler: Scheduler | None) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way, requests and jobs, and return."""
    config = uvicorn.Config(
        create_app(trimtab, worker=worker_name()),
        loop="asyncio",
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,  # the application logs its requests itself, with their ids
        server_header=False,
        proxy_headers=False,  # nothing here depends on where a request claims to come from
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)

    def end() -> None:
        server.should_exit = True

    with ending(end):
        if scheduler is not None:
            scheduler.start()
        try:
            server.run(sockets=[listening])
        finally:
            if scheduler is not None:
                scheduler.stop()


@contextmanager
def ending(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` on SIGTERM and SIGINT instead of dying of them.

    uvicorn takes both signals over while it runs and raises them again when it is done: then they end up here too, so a
    process that ended cleanly says so with exit code 0.
    """

    def told(_signal: int, _frame: FrameType | None) -> None:
        end()

    before = {one: signal.signal(one, told) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
