from __future__ import annotations

from collections.abc import Iterator

import pytest
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
