"""UUIDv7: ids that sort by time, so that appending rows stays sequential in an index (RFC 9562, section 5.7)."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from uuid import UUID

UUID_PATTERN = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def uuid7(at: datetime, randomness: bytes) -> str:
    """A version-7 UUID of the moment `at` (aware) and 10 bytes of `randomness`, as 36 characters of lower-case text."""
    ms = int(at.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    tail = int.from_bytes(randomness[:10], "big")
    value = (ms << 80) | (0x7 << 76) | (((tail >> 64) & 0xFFF) << 64) | (0b10 << 62) | (tail & 0x3FFF_FFFF_FFFF_FFFF)
    return str(UUID(int=value))


def named_uuid7(at: datetime, *names: str) -> str:
    """A UUID that the same moment and names always give: for events that must be harmless when sent again."""
    return uuid7(at, hashlib.sha256("\x1f".join(names).encode()).digest())
