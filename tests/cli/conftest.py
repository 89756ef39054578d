from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.steps import SPEC, Cli, labelled_csv, rules_bundle


@pytest.fixture
def cli(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on an empty database, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Cli(url=sqlite_url, folder=tmp_path)


@pytest.fixture(scope="session")
def _trained_file(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Path:
    """A database with an agent, its labels, a trained bundle, and a hand-written champion."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copyfile(_sqlite_template, folder / "trimtab.db")
    cli = Cli(url=f"sqlite:///{folder / 'trimtab.db'}", folder=folder)
    cli.run("agents", "add", cli.file("triage.toml", SPEC))
    cli.run("labels", "import", "triage", labelled_csv(folder / "mails.csv"))
    cli.run("bundles", "train", "triage", "--seed", 1)
    uploaded = cli.json("bundles", "upload", "triage", cli.file("rules.json", rules_bundle()))
    cli.applied(uploaded["sha256"])
    return folder / "trimtab.db"


@pytest.fixture(scope="session")
def _live_file(tmp_path_factory: pytest.TempPathFactory, _trained_file: Path) -> Path:
    """The same later: a rollout runs, and both arms have decided on every mail."""
    folder = tmp_path_factory.mktemp("live")
    _copy(_trained_file, folder)
    cli = Cli(url=f"sqlite:///{folder / 'trimtab.db'}", folder=folder)
    bad = cli.json("bundles", "upload", "triage", cli.file("bad.json", rules_bundle("ham", 2)))["sha256"]
    cli.applied(bad)
    cli.run("decide", "triage", "--file", folder / "mails.csv", "--ignore", "label")
    return folder / "trimtab.db"


def _copy(database: Path, folder: Path) -> None:
    for path in database.parent.iterdir():
        if path.name.startswith("trimtab.db") or path.suffix == ".csv":  # the signing key lies beside the database
            shutil.copyfile(path, folder / path.name)


@pytest.fixture
def trained(cli: Cli, _trained_file: Path) -> Cli:
    """The command line on a database where a champion serves and a trained bundle waits."""
    _copy(_trained_file, cli.folder)
    return cli


@pytest.fixture
def live(cli: Cli, _live_file: Path) -> Cli:
    """A rollout whose challenger decides the opposite of the champion on every mail with two links or more."""
    _copy(_live_file, cli.folder)
    return cli


@pytest.fixture
def candidate(trained: Cli) -> str:
    """The trained bundle's hash."""
    found = trained.json("bundles", "list", "triage")["bundles"]
    return next(str(one["sha256"]) for one in found if one["kind"] == "logistic")
