"""HTTP: slates, similar and trending items, events in, health and metrics. Answers only; it never learns.

User state comes from Redis in one round trip, models from this process. Each slate is handed to the log as an exposure
before the answer returns. What is behind it is given as a :class:`Backend`, so that nothing here knows Kafka.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Protocol

import numpy as np
import orjson
from fastapi import Depends, FastAPI, Path, Query, Request, Response

from online_models.history import UserRecord
from serving import answering, api_objectives, console_api
from serving.api_metrics import ApiMetrics, Measured
from serving.api_types import Accepted, Ask, Count, ItemId, Problem, RequestId, Surface, UserId
from serving.item_history import ItemHistory
from serving.problems import ProblemError, install
from serving.recommender import Recommender
from serving.types import Slate

MAX_BODY = 1_048_576


class Backend(Protocol):
    """What the API stands on."""

    recommender: Recommender
    default_surface: str
    default_n: int
    item_history: ItemHistory

    def now(self) -> int:
        """The wall clock, ms."""

    def lacking(self) -> dict[str, str]:
        """What is not ready yet, and why; empty when requests can be answered."""

    async def user(self, user_id: str) -> UserRecord:
        """What is known of a user; StoreUnavailable when that cannot be had."""

    async def log(self, slate: Slate) -> None:
        """Hand a slate over to the log as an exposure."""

    async def accept(self, events: Sequence[dict[str, Any]]) -> list[str]:
        """Put events into the log, all or none; their ids. ProblemError when one is refused."""

    def experiments(self) -> dict[str, Any]:
        """Results of experiments so far, and which version answers whom."""

    def metrics(self) -> bytes:
        """Everything measured, in Prometheus' text format."""


_REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "The field at fault is named"},
    503: {"model": Problem, "description": "Not ready yet, or the log cannot be reached"},
}


def create_app(
    backend: Backend,
    metrics: ApiMetrics,
    lifespan: AbstractAsyncContextManager[None] | None = None,
    console: console_api.Feed | None = None,
    operators: api_objectives.Operators | None = None,
) -> FastAPI:
    """The application.

    Args:
        lifespan: entered while the application runs.
        console: what the live console at ``/`` is told; None leaves the console out.
        operators: what weights are read and changed by; None leaves that out.
    """

    async def entered(_: FastAPI) -> AsyncIterator[None]:
        if lifespan is None:
            yield
            return
        async with lifespan:
            yield

    app = FastAPI(
        title="freshet",
        summary="Recommendations that know the last click.",
        responses=_REFUSALS,
        lifespan=_context(entered),
        redirect_slashes=False,  # a name that ends in a slash is unknown, not another address
    )
    install(app)
    app.add_middleware(Measured, metrics=metrics, max_body=MAX_BODY)
    _slates(app, backend)
    _items(app, backend)
    _events(app, backend)
    _operations(app, backend)
    if operators is not None:
        api_objectives.install(app, operators)
    if console is not None:
        console_api.install(app, backend, console)
    return app


def _context(entered: Any) -> Any:
    from contextlib import asynccontextmanager

    return asynccontextmanager(entered)


def _ready(backend: Backend) -> Any:
    async def check() -> None:  # one that is not async would be run in a thread, at each request
        if lacking := backend.lacking():
            told = "; ".join(f"{part}: {why}" for part, why in lacking.items())
            raise ProblemError(503, "Not ready", told)

    return Depends(check)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _slates(app: FastAPI, backend: Backend) -> None:
    async def answered(ask: Ask) -> Response:
        return Response(await answering.answered(backend, ask), media_type="application/json")

    @app.post("/v1/recommendations", tags=["recommendations"], dependencies=[_ready(backend)])
    async def recommend(ask: Ask) -> Response:
        """A slate for a user; logged as an exposure. A retried ``request_id`` gets the same slate."""
        # in a replica serving/hot_route.py answers this before it comes here, unless something is wrong with it
        return await answered(ask)

    @app.get("/v1/recommendations/{user_id}", tags=["recommendations"], dependencies=[_ready(backend)])
    async def recommend_to(
        user_id: Annotated[UserId, Path()],
        n: Annotated[Count | None, Query()] = None,
        surface: Annotated[Surface | None, Query()] = None,
        request_id: Annotated[RequestId | None, Query()] = None,
        explain: Annotated[bool, Query()] = False,
    ) -> Response:
        """The same by GET; with ``explain`` it tells sources, features and weights, and is not logged."""
        return await answered(
            Ask(user_id=user_id, n=n, surface=surface, request_id=request_id, explain=explain)
        )


def _items(app: FastAPI, backend: Backend) -> None:
    recommender = backend.recommender

    def told(ids: Sequence[int], scores: Sequence[float]) -> list[dict[str, Any]]:
        catalog, names = recommender.catalog, recommender.interner
        return [
            {"item_id": names.name(i), "title": catalog.title(i), "tags": catalog.tags(i), "score": score}
            for i, score in zip(ids, scores, strict=True)
        ]

    @app.get("/v1/items/{item_id}/similar", tags=["items"], dependencies=[_ready(backend)])
    async def similar(item_id: Annotated[ItemId, Path()], n: Annotated[Count, Query()] = 10) -> Response:
        """Items acted on by the same users shortly before or after, filled up by content."""
        number = recommender.interner.get(item_id)
        if number is None:
            raise ProblemError(
                404, "No such item", f"item_id: nobody has told of {item_id!r}", field="item_id"
            )
        ids, scores = recommender.learner.model.similar(number, n + 50, backend.now())
        allowed = recommender.catalog.showable(ids)
        ids, scores = ids[allowed][:n], scores[allowed][:n]
        return _json({"item_id": item_id, "items": told(ids.tolist(), scores.tolist())})

    @app.get("/v1/trending", tags=["items"], dependencies=[_ready(backend)])
    async def trending(
        surface: Annotated[Surface | None, Query()] = None, n: Annotated[Count, Query()] = 20
    ) -> Response:
        """What is acted on most now, by decayed counts; new items where nothing was acted on yet."""
        name, now = surface or backend.default_surface, backend.now()
        ids, scores = recommender.learner.counters.trending(name, now, n + 200)
        allowed = recommender.catalog.showable(ids)
        ids, scores = ids[allowed][:n], scores[allowed][:n]
        new = recommender.catalog.newest(n)
        more = new[~np.isin(new, ids)][: n - len(ids)]
        rows = told([*ids.tolist(), *more.tolist()], [*scores.tolist(), *[0.0] * len(more)])
        return _json({"surface": name, "items": rows, "ts": now})


def _events(app: FastAPI, backend: Backend) -> None:
    @app.post(
        "/v1/events",
        tags=["events"],
        status_code=202,
        response_model=Accepted,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
    )
    async def events(request: Request) -> Response:
        """One event, or a list of at most 500; 202 once all replicas of the log have them, all or none.

        The schema is that of the topic ``events``; ``event_id`` and ``ts`` are given by the server where they are
        missing.
        """
        try:
            body = orjson.loads(await request.body())
        except orjson.JSONDecodeError as error:
            raise ProblemError(422, "Not JSON", f"body: {error}", field="body") from error
        many = body if isinstance(body, list) else [body]
        if not 1 <= len(many) <= 500 or not all(isinstance(event, dict) for event in many):
            raise ProblemError(
                422, "No events", "body: an event (a JSON object) or a list of 1 to 500", field="body"
            )
        ids = await backend.accept(many)
        return _json({"accepted": len(ids), "event_ids": ids}, 202)


def _operations(app: FastAPI, backend: Backend) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> Response:
        """The process answers."""
        return _json({"status": "ok"})

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> Response:
        """Whether requests can be answered: models, catalogue and names are loaded."""
        lacking = backend.lacking()
        return _json({"ready": not lacking, "lacking": lacking}, 503 if lacking else 200)

    @app.get("/v1/experiments", tags=["experiments"])
    async def experiments() -> Response:
        """Results so far by experiment and variant, each with a verdict; and which version answers whom."""
        return _json(backend.experiments())

    @app.get("/metrics", tags=["operations"])
    async def metrics() -> Response:
        """Everything measured, for Prometheus."""
        return Response(backend.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")
