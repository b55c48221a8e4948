"""What slates are made for, over HTTP: read by anybody, changed by operators who hold the token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import orjson
from fastapi import Depends, FastAPI, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from serving.api_types import Surface
from serving.problems import ProblemError

Who = Annotated[str, Field(min_length=1, max_length=256, description="Who decides this, for the log")]
Reason = Annotated[str, Field(max_length=2_000, description="Why, for the log")]


class Operators(Protocol):
    """What these routes stand on."""

    operator_token: str

    def objectives(self) -> dict[str, Any]:
        """By surface the weights in force and who set them; the actions that may have a weight."""

    async def weigh(
        self, surface: str, weights: Mapping[str, float] | None, who: str, reason: str
    ) -> dict[str, Any]:
        """Change a surface's weights, None back to the settings'; ProblemError when they do not hold."""


class Weighed(BaseModel):
    """Weights of a surface."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"weights": {"click": 1, "purchase": 20}, "who": "ann"}]},
    )

    weights: dict[str, float] = Field(description="What an action is worth, by action")
    who: Who
    reason: Reason = ""


class Reset(BaseModel):
    """Back to the weights of the settings."""

    model_config = ConfigDict(extra="forbid")

    who: Who
    reason: Reason = ""


def install(app: FastAPI, operators: Operators) -> None:
    """Make the routes known."""

    def allowed(authorization: Annotated[str, Header()] = "") -> None:
        token = operators.operator_token
        if not token:
            raise ProblemError(
                403, "Not open", "nothing is changed over HTTP: FRESHET_OPERATOR_TOKEN is not set"
            )
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise ProblemError(401, "Not allowed", "Authorization: Bearer and the operators' token is wanted")

    @app.get("/v1/objectives", tags=["operations"])
    async def objectives() -> Response:
        """The weights in force by surface, who set them and when, and the actions that may have one."""
        return _json(operators.objectives())

    @app.put("/v1/objectives/{surface}", tags=["operations"], dependencies=[Depends(allowed)])
    async def weigh(surface: Annotated[Surface, Path()], asked: Weighed) -> Response:
        """Order a surface for other weights from now on; in all processes within seconds, and in the audit log."""
        return _json(await operators.weigh(surface, asked.weights, asked.who, asked.reason))

    @app.delete("/v1/objectives/{surface}", tags=["operations"], dependencies=[Depends(allowed)])
    async def reset(surface: Annotated[Surface, Path()], asked: Reset) -> Response:
        """Go back to the weights that the settings name."""
        return _json(await operators.weigh(surface, None, asked.who, asked.reason))


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
