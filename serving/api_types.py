"""What HTTP asks for, and how a refusal is told."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from online_models.events import MAX_SLOTS, Pins
from serving.types import SlateRequest

UserId = Annotated[
    str, Field(min_length=1, max_length=256, description="Any string; one nobody knows will do")
]
ItemId = Annotated[str, Field(min_length=1, max_length=256)]
RequestId = Annotated[str, Field(min_length=1, max_length=256)]
Surface = Annotated[str, Field(min_length=1, max_length=64, description="As which page is asked")]
Count = Annotated[int, Field(ge=1, le=MAX_SLOTS, description="Items wanted")]


class Restriction(BaseModel):
    """What the slate is restricted to; empty is no restriction."""

    model_config = ConfigDict(extra="forbid")

    tags: list[str] = Field(default_factory=list, max_length=64)
    providers: list[str] = Field(default_factory=list, max_length=64)


class Ask(BaseModel):
    """A request for a slate."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_id": "alice", "n": 10}]})

    user_id: UserId
    n: Count | None = None
    surface: Surface | None = None
    request_id: RequestId | None = Field(None, description="A retry with the same id gets the same slate")
    exclude: list[ItemId] = Field(default_factory=list, max_length=1_000)
    filter: Restriction = Field(default_factory=Restriction)
    pins: Pins = Field(
        default_factory=dict, description="Items and the positions they stand at, 0 for the top"
    )
    context: dict[str, Any] = Field(default_factory=dict, max_length=64)
    explain: bool = Field(False, description="With sources, features and weights")

    def request(self, n: int, surface: str) -> SlateRequest:
        """The request as the pipeline takes it, with the deployment's defaults where it names none."""
        return SlateRequest(
            request_id=self.request_id or uuid.uuid4().hex,
            user_id=self.user_id,
            surface=self.surface or surface,
            n=self.n or n,
            exclude=tuple(self.exclude),
            tags=tuple(self.filter.tags),
            providers=tuple(self.filter.providers),
            pins=self.pins,
            context=self.context,
            explain=self.explain,
            n_asked=self.n is not None,
        )


class FieldError(BaseModel):
    """One thing wrong with the input."""

    field: str
    detail: str


class Problem(BaseModel):
    """A refusal (RFC 9457, ``application/problem+json``)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Field(default_factory=list)


class Accepted(BaseModel):
    """Events that are in the log, acknowledged by all its replicas."""

    accepted: int
    event_ids: list[str]
