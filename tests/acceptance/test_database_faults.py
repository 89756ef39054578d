"""A database that cannot be used: every fault has its own words and a way out, and leaves nothing half-done."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.engine import make_url
from tests.services.steps import (
    ADMIN,
    AGENT,
    APPROVER,
    MAIL,
    OPERATOR,
    QUICK,
    START,
    VIEWER,
    accepted,
    add_agent,
    approved,
    changed,
    crown,
    decided,
    open_trimtab,
    serve,
    spec,
)

from trimtab.__main__ import main
from trimtab.bootstrap import Trimtab, build
from trimtab.clock import SimulatedClock
from trimtab.core.approvals import ProposalState
from trimtab.errors import SchemaVersionError, StorageError
from trimtab.settings import Settings
from trimtab.store.engine import open_engine, reading, writing
from trimtab.store.migrations import current, head, upgrade

IMPATIENT = "?timeout=0.05"


@pytest.fixture
def url(sqlite_url: str) -> str:
    """A database with an agent, its champion and three decisions."""
    trimtab = open_trimtab(sqlite_url, SimulatedClock(START))
    add_agent(trimtab)
    crown(trimtab, 5)
    serve(trimtab, [1, 7, 9])
    trimtab.close()
    return sqlite_url


@contextmanager
def opened(url: str, *, seed: int = 9) -> Iterator[Trimtab]:
    trimtab = open_trimtab(url, SimulatedClock(START), seed=seed)
    try:
        yield trimtab
    finally:
        trimtab.close()


def path_of(url: str) -> Path:
    return Path(make_url(url).database or "")


def actions() -> dict[str, Callable[[Trimtab], object]]:
    """One of each: a batch from an agent, a change by a person, a night's job."""
    return {
        "ingest": lambda trimtab: accepted(trimtab, [decided(trimtab, f"new-{i}", i) for i in range(20)]),
        "kill": lambda trimtab: trimtab.agents.kill(ADMIN, MAIL, reason="test"),
        "sample": lambda trimtab: trimtab.reviews.sample(OPERATOR, budget=2),
    }


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run the command line in this process: (exit code, what it said about the error)."""
    monkeypatch.setattr(sys, "argv", ["trimtab", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    arguments = [sys.executable, "-S", "-c", script, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
        process.communicate("")


def state(url: str) -> tuple[int, bool, int, int]:
    """What the actions above change: decisions, kill switch, questions, audit events. Verified on the way."""
    with opened(url) as trimtab:
        proof = trimtab.history.verify(VIEWER)
        assert proof.holds, proof
        killed = trimtab.agents.serving(VIEWER, MAIL)["kill_switch"]
        decisions = len(trimtab.decisions.recent(VIEWER, MAIL, limit=1000))
        return decisions, killed, len(trimtab.reviews.queue(VIEWER)), proof.audit.length


def refuses(url: str, words: str) -> None:
    """Every action ends in a StorageError that says `words`, and changes nothing."""
    for act in actions().values():
        with opened(url) as trimtab:
            with pytest.raises(StorageError, match=words) as caught:
                act(trimtab)
            assert (caught.value.exit_code, caught.value.status) == (5, 503)


def test_while_another_process_holds_the_lock_nothing_is_written_and_reading_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(url)
    with locked_by_another_process(path_of(url)):
        refuses(url + IMPATIENT, "another process holds the write lock; try again when it is done")
        assert state(url) == before
        code, said = command(monkeypatch, capsys, "--db", url + IMPATIENT, "--as", "ada", "pause", "--reason", "test")
        assert code == 5
        assert "another process holds the write lock" in said
    with opened(url) as trimtab:
        for act in actions().values():
            act(trimtab)
    assert state(url) != before


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Permissions do not bind root, so root acts as nobody meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="trimtab-faults-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("folder_too", [False, True], ids=["file", "file and folder"])
def test_a_read_only_database_is_named_with_the_way_out(url: str, open_folder: Path, folder_too: bool) -> None:
    before = state(url)
    path = open_folder / "trimtab.db"
    shutil.copyfile(path_of(url), path)
    path.chmod(0o444)
    open_folder.chmod(0o555 if folder_too else 0o777)
    with as_ordinary_user():
        engine = open_engine(f"sqlite:///{path}")
        with pytest.raises(StorageError, match=r"read-only|cannot be opened") as caught, writing(engine) as connection:
            connection.execute(text("DELETE FROM decisions"))
        engine.dispose()
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 5
    assert state(f"sqlite:///{path}") == before


def limit_pages(engine: Engine, pages: int) -> None:
    """Let the file grow no further than `pages`: to SQLite a full disk."""

    def on_connect(connection: sqlite3.Connection, _entry: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "connect", on_connect)


def pages_of(url: str) -> int:
    with sqlite3.connect(path_of(url)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    return int(pages)


def test_on_a_full_disk_a_batch_is_refused_whole_and_accepted_when_there_is_space(url: str) -> None:
    before = state(url)
    with opened(url) as trimtab:
        events = [changed(decided(trimtab, f"big-{i}", i), payload={"text": "x" * 9_000}) for i in range(30)]
    with opened(url) as trimtab:
        limit_pages(trimtab.engine, pages_of(url) + 5)
        with pytest.raises(StorageError, match="the disk is full; nothing of this action was stored") as caught:
            trimtab.decisions.ingest(AGENT, events)
        assert caught.value.exit_code == 5
    assert state(url) == before
    with opened(url) as trimtab:
        accepted(trimtab, events)
    assert state(url)[0] == before[0] + 30


def test_a_rollout_that_finds_the_disk_full_has_not_started_at_all(url: str) -> None:
    with opened(url) as trimtab:
        proposal = approved(trimtab, 3)
        served = trimtab.agents.serving(VIEWER, MAIL)
    pages, refusals = pages_of(url), []
    for extra in range(60):  # with each page more the disk is full at a later step of the same action
        with opened(url, seed=extra) as trimtab:
            limit_pages(trimtab.engine, pages + extra)
            try:
                trimtab.proposals.apply(OPERATOR, proposal.id, plan=QUICK)
                break
            except StorageError as error:
                refusals.append(str(error))
                assert trimtab.proposals.get(VIEWER, proposal.id).state is ProposalState.APPROVED
                assert trimtab.agents.serving(VIEWER, MAIL) == served
                assert trimtab.rollouts.listing(VIEWER) == []
                assert trimtab.history.verify(VIEWER).holds
    assert refusals
    assert all("the disk is full" in words for words in refusals)
    with opened(url) as trimtab:
        assert trimtab.proposals.get(VIEWER, proposal.id).state is ProposalState.APPLIED
        assert trimtab.history.verify(VIEWER).holds


def test_a_migration_that_finds_the_disk_full_leaves_no_table_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    engine = open_engine(url)
    limit_pages(engine, 12)
    with pytest.raises(StorageError, match="the disk is full"):
        upgrade(engine)
    with reading(engine) as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()
    larger = open_engine(url)
    upgrade(larger)
    assert current(larger) == head()
    larger.dispose()


def test_a_database_of_a_newer_version_is_left_alone(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(path_of(url)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path_of(url).read_bytes()
    with pytest.raises(SchemaVersionError, match="schema 9999"):
        build(Settings(database_url=url), clock=SimulatedClock(START))
    code, said = command(monkeypatch, capsys, "--db", url, "status")
    assert code == 5
    assert "written by a newer one; upgrade Trimtab" in said
    assert path_of(url).read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "letters.txt"
    path.write_text("Dear database,\n" * 400)
    code, said = command(monkeypatch, capsys, "--db", f"sqlite:///{path}", "status")
    assert code == 5
    assert "is not a Trimtab database; choose another path" in said
    assert path.read_text() == "Dear database,\n" * 400


def test_a_damaged_file_says_to_restore_a_backup(url: str) -> None:
    path = path_of(url)
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xa5" * (len(content) - 4096 * 2)  # the header stands, the rest is noise
    path.write_bytes(content)
    for leftover in (f"{path}-wal", f"{path}-shm"):
        Path(leftover).unlink(missing_ok=True)
    refuses(url, r"the file is damaged; restore a backup")


def test_a_database_without_the_schema_says_how_to_make_it(tmp_path: Path) -> None:
    refuses(f"sqlite:///{tmp_path / 'empty.db'}", "the schema is missing; run: trimtab db migrate")


def test_a_missing_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = command(monkeypatch, capsys, "--db", f"sqlite:///{tmp_path}/gone/trimtab.db", "status")
    assert code == 5
    assert f"there is no file {tmp_path}/gone/trimtab.db; name yours with --db" in said
    with pytest.raises(StorageError, match="does not exist; create it or choose another path"):
        build(Settings(database_url=f"sqlite:///{tmp_path}/gone/trimtab.db"))
    assert not (tmp_path / "gone").exists()


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@on_postgresql
def test_a_connection_that_breaks_inside_an_action_undoes_it_and_the_next_one_works(
    database_url: str, tmp_path: Path
) -> None:
    trimtab = open_trimtab(database_url, SimulatedClock(START), signing_key=str(tmp_path / "key.pem"))
    trimtab.agents.add(ADMIN, spec())

    def broken() -> None:
        with writing(trimtab.engine) as connection:
            connection.execute(text("UPDATE pointers SET kill_switch = true"))
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StorageError, match="no connection; check that PostgreSQL runs"):
        broken()
    assert not trimtab.agents.serving(VIEWER, MAIL)["kill_switch"]
    trimtab.agents.kill(ADMIN, MAIL, reason="works again")
    trimtab.close()


@on_postgresql
def test_a_read_only_server_is_named_with_the_way_out(database_url: str, tmp_path: Path) -> None:
    key = str(tmp_path / "key.pem")
    trimtab = open_trimtab(database_url, SimulatedClock(START), signing_key=key)
    add_agent(trimtab)
    proposal = approved(trimtab, 5)
    trimtab.close()
    replica = f"{database_url}{'&' if '?' in database_url else '?'}options=-c%20default_transaction_read_only%3Don"
    trimtab = open_trimtab(replica, SimulatedClock(START), signing_key=key)
    with pytest.raises(StorageError, match="the database is read-only; connect to the primary") as caught:
        trimtab.proposals.apply(OPERATOR, proposal.id)
    assert caught.value.exit_code == 5
    assert trimtab.proposals.get(APPROVER, proposal.id).state is ProposalState.APPROVED
    trimtab.close()
