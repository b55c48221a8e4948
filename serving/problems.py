"""Refusals as RFC 9457 problem documents: what is wrong, which field, how to mend it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)
_MEDIA = "application/problem+json"
_OF_BODY = (400, 413)
"""What the framework says of a body that cannot be read, or is too large."""


class ProblemError(Exception):
    """A request is refused; becomes a problem document.

    Args:
        errors: (field, detail) of everything at fault; ``field`` stands for one with ``detail``.
    """

    def __init__(
        self, status: int, title: str, detail: str, *, field: str = "", errors: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.errors = tuple(errors) or (((field, detail),) if field else ())


def document(status: int, title: str, detail: str, errors: Sequence[tuple[str, str]] = ()) -> Response:
    """The answer that says so."""
    told = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [{"field": field, "detail": what} for field, what in errors],
    }
    return Response(orjson.dumps(told), status_code=status, media_type=_MEDIA)


def unexpected(error: Exception) -> Response:
    """The answer to a request that failed within; logs why."""
    log.error("a request failed: %s", type(error).__name__, exc_info=error)
    return document(500, "Internal error", "the request could not be answered; it is logged")


def install(app: FastAPI) -> None:
    """Every refusal of the application is a problem document."""

    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> Response:
        return document(error.status, error.title, error.detail, error.errors)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [
            ("body" if e["type"] == "json_invalid" else _field(e["loc"]), str(e["msg"]))
            for e in error.errors()
        ]
        detail = "; ".join(f"{field}: {what}" for field, what in errors[:3])
        return document(422, "Bad input", detail, errors)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        told = str(error.detail)
        return document(
            error.status_code, told, told, [("body", told)] if error.status_code in _OF_BODY else ()
        )

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return unexpected(error)


def _field(location: Sequence[object]) -> str:
    """Where a value stood, without the part of the request it came in.

    >>> _field(("body", "filter", "tags", 0))
    'filter.tags.0'
    """
    path = location[1:] if location and location[0] in ("body", "query", "path") else location
    return ".".join(map(str, path)) or "body"
