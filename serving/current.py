"""Which request is being answered here and now, so that a line of log can name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request: ContextVar[str] = ContextVar("request", default="")


@contextmanager
def request(request_id: str) -> Iterator[None]:
    """What is logged within belongs to this request.

    >>> with request("r-1"):
    ...     told()
    {'request_id': 'r-1'}
    >>> told()
    {}
    """
    before = _request.set(request_id)
    try:
        yield
    finally:
        _request.reset(before)


def told() -> dict[str, str]:
    """The request under way; empty outside of one."""
    request_id = _request.get()
    return {"request_id": request_id} if request_id else {}
