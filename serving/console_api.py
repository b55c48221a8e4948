"""The live console: one page at ``/``, its data at ``/v1/console/*``, and what happens now at ``/v1/live``.

For people who operate freshet or meet it for the first time. It costs nothing while nobody looks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Annotated, Any, Protocol

import orjson
from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from online_models.errors import StoreUnavailable
from online_models.history import UserRecord
from serving import console_views, wire
from serving.api_types import Ask, Count, ItemId, Surface, UserId
from serving.item_history import ItemHistory
from serving.problems import ProblemError
from serving.recommender import Recommender
from serving.types import Slate

STATIC = FilePath(str(files("serving"))) / "console"
# what the page loads comes from here alone; uPlot sets styles, hence the one exception
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


class Feed(Protocol):
    """What happens in the log, for those who watch."""

    def ticks(self) -> AsyncIterator[Mapping[str, Any]]:
        """A tick a second, until the process ends; listening begins with the first watcher."""

    async def partitions(self) -> list[dict[str, Any]]:
        """Position and lag of each partition, as far as they are known."""


class Backend(Protocol):
    """What the console stands on; the API's own backend does."""

    recommender: Recommender
    default_surface: str
    default_n: int
    item_history: ItemHistory

    def now(self) -> int:
        """The wall clock, ms."""

    def lacking(self) -> dict[str, str]:
        """What is not ready yet, and why."""

    async def user(self, user_id: str) -> UserRecord:
        """What is known of a user."""

    async def log(self, slate: Slate) -> None:
        """Hand a slate over to the log."""


class AskSlate(BaseModel):
    """A slate to show in the console; it is logged as an exposure, for its clicks to be learnt from."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    n: Count = 10
    surface: Surface | None = None


def install(app: FastAPI, backend: Backend, feed: Feed) -> None:
    """Add the console to an application."""
    _page(app)
    _live(app, feed)
    _users(app, backend)
    _models(app, backend, feed)


def _json(value: Any) -> Response:
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def _page(app: FastAPI) -> None:
    app.mount("/console", StaticFiles(directory=STATIC), name="console")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
        return FileResponse(STATIC / "index.html", headers=headers)


def _live(app: FastAPI, feed: Feed) -> None:
    async def told() -> AsyncIterator[bytes]:
        async for tick in feed.ticks():
            yield b"data: " + orjson.dumps(tick, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n\n"

    @app.get("/v1/live", tags=["console"])
    async def live() -> Response:
        """What happens now, as server-sent events, one a second."""
        return StreamingResponse(
            told(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )


def _users(app: FastAPI, backend: Backend) -> None:
    async def known(user_id: str) -> UserRecord:
        try:
            return await backend.user(user_id)
        except StoreUnavailable as error:
            raise ProblemError(503, "Redis does not answer", "the user's state cannot be had") from error

    @app.post("/v1/console/slates", tags=["console"])
    async def slate(ask: AskSlate) -> Response:
        """A slate with its reasons."""
        if backend.lacking():
            raise ProblemError(503, "Not ready", "models, names and catalogue are being loaded")
        record = await known(ask.user_id)
        wanted = Ask(user_id=ask.user_id, n=ask.n, surface=ask.surface, explain=True)
        request = wanted.request(backend.default_n, backend.default_surface)
        made = backend.recommender.recommend(request, record, backend.now())
        await backend.log(made)
        history = console_views.history(backend.recommender, record)
        return _json({**wire.answer(made, backend.now()), "history": history, "counts": record.counts})

    @app.get("/v1/console/users/{user_id}", tags=["console"])
    async def user(user_id: Annotated[UserId, Path()]) -> Response:
        """What is known of a user: the last items acted on, newest first, and counts."""
        record = await known(user_id)
        history = console_views.history(backend.recommender, record)
        return _json({"user_id": user_id, "history": history, "counts": record.counts, "group": record.group})


def _models(app: FastAPI, backend: Backend, feed: Feed) -> None:
    recommender = backend.recommender
    mapped = console_views.ItemMap(recommender)

    @app.get("/v1/console/items", tags=["console"])
    async def items(n: Annotated[int, Query(ge=1, le=1_000)] = 100, q: str = "") -> Response:
        """Items with impressions, clicks and click rate, the most shown first; ``q`` is part of title, id or tag."""
        return _json({"items": console_views.items(recommender, n, q), "ts": backend.now()})

    @app.get("/v1/console/items/{item_id}/history", tags=["console"])
    async def item_history(item_id: Annotated[ItemId, Path()]) -> Response:
        """How often an item was shown and clicked, hour by hour, the last day or since this replica began."""
        number = recommender.interner.get(item_id)
        if number is None:
            told = f"item_id: nobody has told of {item_id!r}"
            raise ProblemError(404, "No such item", told, field="item_id")
        return _json({"item_id": item_id, "hours": backend.item_history.of(number, backend.now())})

    @app.get("/v1/console/map", tags=["console"])
    async def vectors() -> Response:
        """Item vectors on their two principal axes."""
        return _json(mapped.get(backend.now()))

    @app.get("/v1/console/models", tags=["console"])
    async def models() -> Response:
        """Versions, weights and calibration."""
        return _json(console_views.models(recommender))

    @app.get("/v1/console/health", tags=["console"])
    async def health() -> Response:
        """Readiness, degraded states and lag."""
        lacking = backend.lacking()
        told = {
            "ready": not lacking,
            "lacking": lacking,
            "partitions": await feed.partitions(),
            "stats": dict(recommender.stats),
            "failed": console_views.failures(recommender),
            "items": len(recommender.interner),
            "described": len(recommender.catalog),
            "ts": backend.now(),
        }
        return _json(told)
