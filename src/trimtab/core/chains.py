"""Hash chains: each entry names the one before, so that nothing can be changed or removed unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.core.canonical import canonical_json

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One entry: `body` is the exact canonical text whose SHA-256 is `sha256`; it holds `previous` and `seq`."""

    seq: int
    sha256: str
    previous: str
    body: str


def forge(content: Mapping[str, Any], *, seq: int, previous: str) -> Link:
    """The link that carries `content` behind the link whose hash is `previous`."""
    body = canonical_json({**content, "seq": seq, "previous": previous})
    return Link(seq=seq, sha256=hashlib.sha256(body.encode()).hexdigest(), previous=previous, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """How far a chain holds: `broken_at` is the first link that does not, with the reason in words."""

    length: int
    head: str
    broken_at: int | None = None
    problem: str | None = None

    @property
    def holds(self) -> bool:
        return self.broken_at is None


def verify(links: Iterable[Link]) -> ChainReport:
    """Check every link in order: its hash, its place, and its tie to the one before. Stops at the first broken one."""
    previous, seq = GENESIS, 0
    for link in links:
        seq += 1
        problem = _problem(link, seq=seq, previous=previous)
        if problem is not None:
            return ChainReport(length=seq - 1, head=previous, broken_at=link.seq, problem=problem)
        previous = link.sha256
    return ChainReport(length=seq, head=previous)


def _problem(link: Link, *, seq: int, previous: str) -> str | None:
    if link.seq != seq:
        return f"entry {seq} is missing: the next one found is {link.seq}"
    if hashlib.sha256(link.body.encode()).hexdigest() != link.sha256:
        return f"entry {seq} was changed: its text does not have the hash {link.sha256[:12]}…"
    try:
        content = json.loads(link.body)
    except ValueError:
        return f"entry {seq} is not JSON"
    if not isinstance(content, dict):
        return f"entry {seq} is no JSON object"
    if link.previous != previous or content.get("previous") != previous:
        return f"entry {seq} does not follow the entry before it ({previous[:12]}…)"
    if content.get("seq") != seq:
        return f"entry {seq} says it is entry {content.get('seq')}"
    return None
