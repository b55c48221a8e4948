"""One slate over HTTP, whichever route asked for it: read the user, recommend, log, tell."""

from __future__ import annotations

from typing import Protocol

import orjson

from online_models.errors import StoreUnavailable
from online_models.history import UserRecord
from serving import current, wire
from serving.api_types import Ask
from serving.recommender import Recommender
from serving.types import Slate


class Server(Protocol):
    """What it takes to answer (part of :class:`serving.api.Backend`)."""

    recommender: Recommender
    default_surface: str
    default_n: int

    def now(self) -> int:
        """The wall clock, ms."""

    async def user(self, user_id: str) -> UserRecord:
        """What is known of a user; StoreUnavailable when that cannot be had."""

    async def log(self, slate: Slate) -> None:
        """Hand a slate over to the log as an exposure."""


async def answered(server: Server, ask: Ask) -> bytes:
    """The slate as JSON; logged as an exposure before this returns, unless it was served before or is explained."""
    request = ask.request(server.default_n, server.default_surface)
    before = server.recommender.last_good.of_request(request.user_id, request.request_id)
    if before is not None and not ask.explain:
        return orjson.dumps(wire.answer(before, server.now()))
    record, degraded = None, ""
    try:
        record = await server.user(request.user_id)
    except StoreUnavailable:
        degraded = "redis: user state cannot be had"
    with current.request(request.request_id):
        slate = server.recommender.recommend(request, record, server.now(), degraded=degraded)
    if not ask.explain:  # to explain is to look, not to show
        await server.log(slate)
    return orjson.dumps(wire.answer(slate, server.now()))
