"""``POST /v1/recommendations`` without the framework around it, for a request nothing is wrong with.

FastAPI finds, checks and answers a request in a dozen layers, which cost a third of what the slate itself does. This
stands before it and answers what is plainly good: a known length within the limit, JSON, a valid body, a replica that
is ready. Everything else goes to FastAPI as it came, body included, so that each refusal is FastAPI's, and the
documentation is that of the same route.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message, Receive, Scope, Send

from serving import answering, problems
from serving.api_metrics import ApiMetrics
from serving.api_types import Ask

PATH = "/v1/recommendations"
_JSON = b"application/json"
_ASK = TypeAdapter(Ask)


class Server(answering.Server, Protocol):
    """What it takes to answer, and to know whether to."""

    def lacking(self) -> Mapping[str, str]:
        """What is not ready yet, and why; empty when requests can be answered."""


class HotRoute:
    """ASGI application around the one of FastAPI.

    Args:
        app: answers all that this does not.
        max_body: bytes; a longer body is FastAPI's to refuse.
    """

    def __init__(self, app: FastAPI, server: Server, metrics: ApiMetrics, *, max_body: int) -> None:
        self._app, self._server, self._max = app, server, max_body
        self._route = next(r for r in app.routes if isinstance(r, APIRoute) and r.path == PATH)
        self._latency = metrics.latency.labels(PATH)
        self._answered = metrics.requests.labels(PATH, "200")
        self._failed = metrics.requests.labels(PATH, "500")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        read: list[Message] = []
        ask = await self._asked(scope, receive, read)
        if ask is None:
            await self._app(scope, _replayed(read, receive), send)
            return
        scope["route"] = self._route
        try:
            body = await answering.answered(self._server, ask)
        except Exception as error:
            await problems.unexpected(error)(scope, receive, send)
            self._failed.inc()
        else:
            await _tell(send, body)
            self._answered.inc()
        self._latency.observe(time.perf_counter() - begun)

    async def _asked(self, scope: Scope, receive: Receive, read: list[Message]) -> Ask | None:
        """The request, where nothing is wrong with it; what was received for it is added to ``read``."""
        if self._server.lacking() or not _plain(scope["headers"], self._max):
            return None
        body = b""
        while True:
            message = await receive()
            read.append(message)
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > self._max:
                return None
            if not message.get("more_body", False):
                break
        try:
            return _ASK.validate_json(body)
        except ValidationError:
            return None


def _plain(headers: Iterable[tuple[bytes, bytes]], most: int) -> bool:
    """Whether a body is said to be JSON, and how long it is.

    >>> _plain([(b"content-type", b"application/json"), (b"content-length", b"9")], most=10)
    True
    >>> _plain([(b"content-type", b"text/plain"), (b"content-length", b"9")], most=10)
    False
    >>> _plain([(b"content-type", b"application/json")], most=10)
    False
    """
    kind = length = b""
    for name, value in headers:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = value
    return kind == _JSON and length.isdigit() and int(length) <= most


def _replayed(read: list[Message], receive: Receive) -> Receive:
    """What was received already, then what is still to come."""
    left = iter(read)

    async def receiving() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return receiving


async def _tell(send: Send, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", _JSON)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
