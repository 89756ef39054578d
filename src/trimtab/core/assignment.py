"""Which arm of a rollout a key belongs to: sticky, stateless, the same in every process and language.

The hash is the one that flagd's fractional targeting uses: murmur3 (x86, 32 bit, seed 0) of the UTF-8 bytes of the
salt immediately followed by the key, read as an unsigned number and divided by 2^32. Salts are ids of one length (a
rollout's id), so two pairs of salt and key never spell the same text.
"""

from __future__ import annotations

from enum import StrEnum

import mmh3

from trimtab.errors import InvalidInputError

_BUCKETS = 2**32


class Arm(StrEnum):
    """One of the two concurrent arms of a rollout."""

    BASELINE = "baseline"  # served by the champion
    CANARY = "canary"  # served by the challenger


def bucket(salt: str, key: str) -> float:
    """The place of `key` in [0, 1) under `salt`: uniform over keys, independent between salts.

    >>> bucket("rollout-1", "thread-42") == bucket("rollout-1", "thread-42")
    True
    """
    # "surrogatepass": a key that was cut in the middle of a character still gets its own stable bucket.
    return mmh3.hash((salt + key).encode("utf-8", "surrogatepass"), 0, False) / _BUCKETS


def arm(salt: str, key: str, share: float) -> Arm:
    """The arm that serves `key` when `share` (in [0, 1]) of the keys are to see the challenger.

    Canary exactly when bucket < share, so raising the share moves keys into the canary and never out of it.
    Raises InvalidInputError for a share outside [0, 1].

    >>> arm("rollout-1", "thread-42", 1.0)
    <Arm.CANARY: 'canary'>
    """
    if not 0.0 <= share <= 1.0:
        raise InvalidInputError(f"share must be from 0 to 1, found {share!r}")
    return Arm.CANARY if bucket(salt, key) < share else Arm.BASELINE
