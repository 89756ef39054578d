"""Trimtab: the learning loop that steers LLM agents with small, readable policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.errors import TrimtabError
    from trimtab.sdk.client import Client, Decision, connect

__all__ = ["Client", "Decision", "TrimtabError", "connect"]

_HOME = {
    "Client": "trimtab.sdk.client",
    "Decision": "trimtab.sdk.client",
    "TrimtabError": "trimtab.errors",
    "connect": "trimtab.sdk.client",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used, so that importing any part of Trimtab does not import all of the SDK.
    if name not in _HOME:
        raise AttributeError(f"module 'trimtab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
