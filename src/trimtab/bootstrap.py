"""The composition root: settings -> engine, clock, services."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from trimtab.clock import Clock, SystemClock
from trimtab.plugins.signing import load_or_create
from trimtab.services.agents import Agents
from trimtab.services.api_keys import ApiKeys
from trimtab.services.bundles import Bundles
from trimtab.services.context import Context
from trimtab.services.decisions import Decisions
from trimtab.services.health import Health
from trimtab.services.history import History
from trimtab.services.judges import Judges
from trimtab.services.labels import Labels
from trimtab.services.loop import Loop
from trimtab.services.proposals import Proposals
from trimtab.services.replays import Replays
from trimtab.services.reviews import Reviews
from trimtab.services.rollouts import Rollouts
from trimtab.services.signing import Signing
from trimtab.settings import Settings
from trimtab.store.engine import open_engine
from trimtab.store.migrations import upgrade


def signing_key_path(settings: Settings) -> Path:
    """Where the private signing key is: as set, or beside the SQLite file, or in the user's home folder."""
    if settings.signing_key:
        return Path(settings.signing_key).expanduser()
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(f"{url.database}.signing-key.pem")
    return Path.home() / ".trimtab" / "signing-key.pem"


def code_version() -> str:
    """The installed version of Trimtab."""
    try:
        return version("trimtab")
    except PackageNotFoundError:
        return "0+source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimtab:
    """Everything that one process needs: the services over one database."""

    settings: Settings
    context: Context
    agents: Agents
    decisions: Decisions
    labels: Labels
    judges: Judges
    reviews: Reviews
    bundles: Bundles
    proposals: Proposals
    replays: Replays
    rollouts: Rollouts
    history: History
    signing: Signing
    loop: Loop
    api_keys: ApiKeys
    health: Health

    @property
    def engine(self) -> Engine:
        return self.context.engine

    def close(self) -> None:
        """Give back the database connections."""
        self.context.engine.dispose()


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    randomness: Callable[[int], bytes] = os.urandom,
    migrate: bool = True,
) -> Trimtab:
    """Open the database (bringing its schema forward) and put the services together.

    Raises StorageError when the database cannot be used, SchemaVersionError when it is of a newer Trimtab.
    """
    engine = open_engine(settings.database_url)
    if migrate:
        upgrade(engine)
    context = Context(
        engine=engine,
        clock=clock or SystemClock(),
        randomness=randomness,
        code_version=code_version(),
        signer=load_or_create(signing_key_path(settings)),
    )
    return Trimtab(
        settings=settings,
        context=context,
        agents=Agents(context),
        decisions=Decisions(context),
        labels=Labels(context),
        judges=Judges(context),
        reviews=Reviews(context),
        bundles=Bundles(context),
        proposals=Proposals(context),
        replays=Replays(context),
        rollouts=Rollouts(context),
        history=History(context),
        signing=Signing(context, signing_key_path(settings)),
        loop=Loop(context),
        api_keys=ApiKeys(context),
        health=Health(context),
    )
