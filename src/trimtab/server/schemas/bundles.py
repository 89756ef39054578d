"""Bundles over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trimtab.server.schemas.common import AgentName, Document, Given, Sha256, Shown


class BundleToTrain(Given):
    """What to train on the labelled store."""

    agent: AgentName
    method: Literal["logistic", "tree"] = "logistic"
    seed: Annotated[
        int | None, Field(ge=0, lt=2**31, description="The same examples and seed give the same bundle.")
    ] = None


class TrainedBundle(Shown):
    sha256: Sha256
    agent: str
    report: Document | None = Field(description="How it did on examples held out from its training.")


class BundleShown(Shown):
    sha256: Sha256
    bundle: Document


class UploadedBundle(Shown):
    sha256: Sha256
    agent: str
    new: bool = Field(description="False when the same content was there already.")
    verified: bool = Field(description="Whether the caller said which hash it must have.")
