"""Canonical JSON and its SHA-256: the one spelling under which bundles, packets and audit entries are named.

Keys sorted by code point, no spaces, UTF-8, no NaN or infinity, floats in Python's shortest round-trip form (so 1.0 is
written `1.0`, where RFC 8785 would write `1`). docs/reference/bundle-format.md states it for other languages.
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
