from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.steps import Cli

from trimtab.server.run import listen, resolve

LONG = 60.0  # seconds, for a machine that is busy with other tests


@contextmanager
def _serving(folder: Path, *options: str, command: str = "serve") -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A real process, and what it said on stdout when it was ready."""
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trimtab", command, "--json", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")},
        )
    try:
        yield process, json.loads(_document(process))
    finally:
        process.kill()
        process.wait(LONG)
        assert process.stdout is not None
        process.stdout.close()


def _document(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    return "".join(lines)


def _cli(folder: Path) -> Cli:
    return Cli(url=f"sqlite:///{folder / 'trimtab.db'}", folder=folder)


def test_a_first_start_shows_a_key_that_works_once_and_ends_cleanly_when_told(tmp_path: Path) -> None:
    with _serving(tmp_path, "--port", "0") as (process, said):
        assert said["jobs"] is True
        url, key = said["url"], {"Authorization": f"Bearer {said['key']}"}
        assert httpx.get(f"{url}/healthz", timeout=LONG).json() == {"status": "ok"}
        assert httpx.get(f"{url}/readyz", timeout=LONG).json() == {"ready": True}
        assert httpx.get(f"{url}/api/active/status", timeout=LONG).status_code == 401
        status = httpx.get(f"{url}/api/active/status", headers=key, timeout=LONG)
        assert status.json() == {"paused": False, "agents": []}
        assert "server" not in status.headers
        by = httpx.get(f"{url}/api/audit", headers=key, timeout=LONG).json()["events"][-1]
        assert by["details"]["name"] == "local admin"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
    log = (tmp_path / "log").read_text()
    assert "scheduler=started" in log
    assert "scheduler=stopped" in log
    assert "path='/api/active/status' status=200" in log
    assert said["key"][12:] not in log
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("trimtab.db*"))
    assert said["key"][12:].encode() not in stored

    with _serving(tmp_path, "--port", "0", "--no-jobs") as (process, again):
        assert (again["key"], again["jobs"]) == (None, False)
        assert httpx.get(f"{again['url']}/api/active/status", headers=key, timeout=LONG).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG) == 0


def test_a_worker_does_the_regular_work_without_a_server(tmp_path: Path) -> None:
    cli = _cli(tmp_path)
    cli.run("agents", "add", "--builtin", "mail_triage")
    with _serving(tmp_path, command="worker") as (process, said):
        while not cli.json("jobs", "history")["runs"]:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
    assert {run["worker"] for run in cli.json("jobs", "history")["runs"]} == {said["worker"]}


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_are_let_in_only_when_that_is_said_and_guarded(tmp_path: Path, host: str) -> None:
    cli = _cli(tmp_path)
    serve = ("serve", "--host", host, "--port", 0)
    assert "--allow-remote" in cli.error(*serve, code=2)["message"]
    assert "trimtab keys create" in cli.error(*serve, "--allow-remote", code=2)["message"]
    key = cli.json("keys", "create", "anna", "admin")
    cli.run("keys", "revoke", key["prefix"])
    assert "trimtab keys create" in cli.error(*serve, "--allow-remote", code=2)["message"]


def test_a_port_that_is_taken_and_a_host_that_is_not_ours_are_named(tmp_path: Path) -> None:
    cli = _cli(tmp_path)
    with listen(resolve("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port} cannot be used" in cli.error("serve", "--port", port, code=2)["message"]
    assert "no address" in cli.error("serve", "--host", "no.such.host.invalid", code=2)["message"]


def test_who_may_not_configure_starts_no_server_that_makes_the_first_key(tmp_path: Path) -> None:
    assert _cli(tmp_path).error("serve", "--port", 0, "--role", "viewer", code=4)["code"] == "forbidden"


def test_an_answer_is_sent_at_once_and_not_when_the_headers_are_acknowledged() -> None:
    with listen(resolve("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_what_is_loopback_is_told_by_the_address_and_not_by_the_name() -> None:
    assert resolve("localhost", 0).loopback
    assert resolve("127.9.9.9", 0).loopback
    assert resolve("::1", 0).loopback
    assert resolve("::1", 80).url == "http://[::1]:80"
    assert not resolve("0.0.0.0", 0).loopback
