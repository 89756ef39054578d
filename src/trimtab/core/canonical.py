"""Canonical JSON and its SHA-256: the one spelling under which bundles, packets and audit entries are named.

Keys sorted, no spaces, UTF-8, no NaN or infinity, floats in Python's shortest round-trip form: the rules of RFC 8785
for the values that Trimtab writes (integers beyond 2**53 and lone surrogates never occur in them).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """`value` as canonical JSON text. Raises ValueError for NaN, infinity and values that JSON has no word for."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: Any) -> str:
    """The hex SHA-256 of the canonical JSON of `value` (64 characters)."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()
