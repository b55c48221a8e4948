"""Waiting for Redis: which failures may pass, and trying until one has."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis import exceptions as errors

from online_models.errors import StoreUnavailable

_T = TypeVar("_T")
UNKNOWN = (errors.ConnectionError, errors.TimeoutError, OSError)
"""The connection was cut or time ran out: the command may have been done, or may yet be."""
# Redis answered that it will not do it now; nothing was done.
_NOT_NOW = (
    errors.BusyLoadingError,
    errors.ReadOnlyError,
    errors.OutOfMemoryError,
    errors.ClusterDownError,
    errors.MasterDownError,
    errors.TryAgainError,
)
_NOT_NOW_TEXTS = ("NOREPLICAS", "MISCONF", "BUSY ", "OOM ")


def may_pass(error: Exception) -> bool:
    """Whether a command that failed like this may be done when it is tried again."""
    if isinstance(error, _NOT_NOW) or not isinstance(error, errors.ResponseError):
        return not isinstance(error, errors.AuthenticationError)
    return str(error).startswith(_NOT_NOW_TEXTS)


async def connected(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """What ``attempt`` gives; uvloop's word for a connection that was cut before it was written to is made redis-py's.

    Raises:
        redis.ConnectionError: it was cut; nothing was sent.
    """
    try:
        return await attempt()
    except RuntimeError as error:
        if "handler is closed" not in str(error):
            raise
        raise errors.ConnectionError(str(error)) from error


class Patient:
    """What tries an operation until Redis answers.

    Args:
        patience_s: how long; None waits as long as it takes.
        backoff_s: the first pause between two tries, and the longest.
        on_wait: called with (operation, seconds waited so far, the error) before each new try.
    """

    def __init__(
        self,
        patience_s: float | None,
        backoff_s: tuple[float, float],
        on_wait: Callable[[str, float, Exception], None] | None,
    ) -> None:
        self.patience_s = patience_s
        self._backoff_s = backoff_s
        self._on_wait = on_wait
        self.stats: Counter[str] = Counter()

    async def _patiently(
        self, name: str, attempt: Callable[[], Awaitable[_T]], patience_s: float | None = None
    ) -> _T:
        """Try until Redis answers; StoreUnavailable when patience runs out."""
        patience = self.patience_s if patience_s is None else patience_s
        loop = asyncio.get_running_loop()
        began = loop.time()
        pause, longest = self._backoff_s
        while True:
            self.stats[f"redis_{name}"] += 1
            try:
                return await connected(attempt)
            except (*UNKNOWN, errors.ResponseError) as error:
                if not may_pass(error):
                    raise
                waited = loop.time() - began
                if patience is not None and waited + pause > patience:
                    raise StoreUnavailable(f"Redis: {name} gave up after {waited:.1f} s: {error}") from error
                if self._on_wait is not None:
                    self._on_wait(name, waited, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
