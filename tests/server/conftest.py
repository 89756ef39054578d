from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.server.steps import Api
from tests.services.steps import START, open_trimtab

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(START)


@pytest.fixture
def trimtab(database_url: str, clock: SimulatedClock) -> Iterator[Trimtab]:
    """The services over a fresh database of either kind, on a clock that is set by hand."""
    built = open_trimtab(database_url, clock)
    yield built
    built.close()


@pytest.fixture
def api(trimtab: Trimtab) -> Iterator[Api]:
    """The API over these services, with a key for each role."""
    made = Api(trimtab)
    with made.client:
        yield made


@pytest.fixture
def lite(sqlite_url: str, clock: SimulatedClock) -> Iterator[Api]:
    """The same, where the kind of database does not matter."""
    built = open_trimtab(sqlite_url, clock)
    made = Api(built)
    with made.client:
        yield made
    built.close()
