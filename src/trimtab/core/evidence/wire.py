"""Reading summaries back from stored JSON: every value is untrusted, and nothing becomes a number by accident."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trimtab.errors import InvalidStatisticError

LARGEST_COUNT = 2**53  # beyond it, JSON readers lose whole numbers


def table(given: Any, what: str, keys: frozenset[str]) -> Mapping[str, Any]:
    """`given` as a mapping of version 1 with exactly `keys` beside "v". Raises InvalidStatisticError."""
    if not isinstance(given, Mapping):
        raise InvalidStatisticError(f"{what}: must be a table, got {type(given).__name__}")
    if given.get("v") != 1 or isinstance(given.get("v"), bool):
        raise InvalidStatisticError(f"{what}: version {given.get('v')!r:.40} is not known here, only 1 is")
    have = set(given) - {"v"}
    if have != keys:
        odd = sorted(str(k)[:40] for k in have ^ keys)
        raise InvalidStatisticError(f"{what}: missing or unknown fields: {', '.join(odd)}")
    return given


def count(value: Any, what: str) -> int:
    """`value` as a whole number from 0 to 2^53. Raises InvalidStatisticError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        raise InvalidStatisticError(f"{what}: must be a whole number from 0 to 2^53, got {value!r:.60}")
    return value


def number(value: Any, what: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float within [low, high]. Raises InvalidStatisticError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise InvalidStatisticError(f"{what}: must be a finite number, got {value!r:.60}")
    if not low <= value <= high:
        raise InvalidStatisticError(f"{what}: must lie in [{low:g}, {high:g}], got {value!r:.60}")
    return float(value)


def inclusion(value: Any) -> float:
    """`value` as an inclusion probability in (0, 1]. Raises InvalidStatisticError: a label without one is not
    evidence."""
    π = number(value, "inclusion", high=1.0)
    if π <= 0.0:
        raise InvalidStatisticError(f"inclusion: must be above 0 (a label that could not be drawn), got {value!r:.60}")
    return π


def alpha(value: Any) -> float:
    """`value` as an error probability in (0, 1). Raises InvalidStatisticError."""
    α = number(value, "alpha")
    if not 0.0 < α < 1.0:
        raise InvalidStatisticError(f"alpha: must lie strictly between 0 and 1, got {value!r:.60}")
    return α
