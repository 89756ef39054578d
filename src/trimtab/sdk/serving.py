"""What an agent serves right now, made ready to choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trimtab.core.bundles import Bundle
from trimtab.core.policy import Policy, compile_policy


class ServingState:
    """One version of an agent's serving document with its policies compiled; never changed once made."""

    __slots__ = (
        "agent",
        "challenger",
        "champion",
        "kill_switch",
        "labels",
        "rollout_id",
        "salt",
        "share",
        "step",
        "version",
    )

    def __init__(self, document: Mapping[str, Any], *, before: ServingState | None = None) -> None:
        """Raises InvalidBundleError when a bundle in the document is not one that this version understands."""
        self.agent: str = document["agent"]
        self.version: int = document["version"]
        self.labels: tuple[str, ...] = tuple(document["labels"])
        self.kill_switch: bool = document["kill_switch"]
        self.rollout_id: str | None = document["rollout_id"]
        self.step: int | None = document["step"]
        self.share: float = document["share"]
        self.salt: str = document["salt"]
        known = [policy for policy in (before.champion, before.challenger) if policy] if before else []
        self.champion: Policy | None = _policy(document["champion"], known)
        self.challenger: Policy | None = _policy(document["challenger"], known)


def _policy(document: Mapping[str, Any] | None, known: list[Policy]) -> Policy | None:
    if document is None:
        return None
    bundle = Bundle.from_document(document)
    for policy in known:
        if policy.bundle == bundle:
            return policy
    return compile_policy(bundle)
