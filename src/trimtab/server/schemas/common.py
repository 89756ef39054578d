"""What all schemas share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Given(BaseModel):
    """A request's body."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Shown(BaseModel):
    """A response's body. It has exactly the fields that the service's value has."""

    model_config = ConfigDict(extra="forbid")


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="A time in UTC, ISO 8601.")]
Sha256 = Annotated[str, Field(description="64 hex characters.")]
Share = Annotated[float, Field(description="A share in [0, 1].")]
Document = dict[str, Any]
AgentName = Annotated[str, Field(max_length=63, description="The agent's name.")]
Words = Annotated[str, Field(max_length=4000, description="Why, for whoever reads the history.")]


class Reason(Given):
    """Why a person does this."""

    reason: Annotated[str, Field(min_length=1, max_length=4000, description="Why, for whoever reads the history.")]


class Problem(BaseModel):
    """An error (RFC 9457). Programs read `code`, people read `detail`."""

    type: str = Field(examples=["urn:trimtab:error:four_eyes"])
    title: str = Field(description="The kind of error in words.")
    status: int
    code: str = Field(description="Stable; docs/reference/errors.md lists them.", examples=["four_eyes"])
    detail: str = Field(description="What exactly is wrong, and the way out.")
