"""Which windows are open in a partition, and when each closes: a heap in memory, a sorted set in Redis."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import orjson

from online_models.counters import CLICK
from online_models.store_writes import Write


class OpenWindows:
    """The windows of one partition, by when they close, and what changed of them since :meth:`writes`.

    >>> windows = OpenWindows()
    >>> windows.open(9_000, "alice", "r1", "click")
    >>> windows.next_due, list(windows.users_by(9_000)), windows.pop(8_999)
    (9000, ['alice'], None)
    >>> windows.pop(9_000)
    (9000, 'alice', 'r1', 'click')
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str, str]] = []
        self._changes: dict[bytes, int | None] = {}  # member -> when it closes; None: it is closed

    def __iter__(self) -> Iterator[tuple[int, str, str, str]]:
        """When each closes, its user, request and action, in no order; one opened again is there twice."""
        return iter(self._heap)

    @property
    def next_due(self) -> int | None:
        """When the next one closes, event time, ms."""
        return self._heap[0][0] if self._heap else None

    def restore(self, members: Iterable[tuple[bytes, float]]) -> None:
        """Take over the open windows as Redis holds them."""
        for member, at in members:
            user_id, request_id, *of = orjson.loads(member)
            heapq.heappush(self._heap, (int(at), user_id, request_id, of[0] if of else CLICK))

    def users_by(self, watermark: int) -> Iterator[str]:
        """Users with windows that close by then: in a heap, what comes later is under what comes later."""
        places = [0]
        while places:
            at = places.pop()
            if at < len(self._heap) and self._heap[at][0] <= watermark:
                yield self._heap[at][1]
                places += (2 * at + 1, 2 * at + 2)

    def open(self, due: int, user_id: str, request_id: str, action: str) -> None:
        """A window is open, or open for longer."""
        heapq.heappush(self._heap, (due, user_id, request_id, action))
        self._changes[_member(user_id, request_id, action)] = due

    def pop(self, watermark: int) -> tuple[int, str, str, str] | None:
        """The next one that closes by then, taken out; None when there is none."""
        if not self._heap or self._heap[0][0] > watermark:
            return None
        return heapq.heappop(self._heap)

    def closed(self, user_id: str, request_id: str, action: str) -> None:
        """A window is closed for good."""
        self._changes[_member(user_id, request_id, action)] = None

    def writes(self, key: str) -> list[Write]:
        """What changed since last asked, as Redis commands."""
        changes, self._changes = self._changes, {}
        opened = [arg for member, due in changes.items() if due is not None for arg in (due, member)]
        closed = [member for member, due in changes.items() if due is None]
        out: list[Write] = [("ZADD", key, *opened)] if opened else []
        return [*out, ("ZREM", key, *closed)] if closed else out


def _member(user_id: str, request_id: str, action: str) -> bytes:
    """How a window stands in Redis; that of a click without its action, as it always did."""
    return orjson.dumps([user_id, request_id] if action == CLICK else [user_id, request_id, action])
