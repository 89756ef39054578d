"""Every example in the docstrings of the evidence is run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from trimtab.core import evidence

MODULES = sorted(m.name for m in pkgutil.iter_modules(evidence.__path__, "trimtab.core.evidence."))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_say_what_happens(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
