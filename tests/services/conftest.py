from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.steps import START, open_trimtab

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(START)


@pytest.fixture
def trimtab(database_url: str, clock: SimulatedClock, tmp_path: Path) -> Iterator[Trimtab]:
    """The services over a fresh database of either kind, on a clock that is set by hand."""
    built = open_trimtab(database_url, clock, signing_key=str(tmp_path / "signing-key.pem"))
    yield built
    built.close()
