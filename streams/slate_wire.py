"""What a worker and the process that makes its slates tell each other, as frames on a pair of sockets.

    worker  -> process   OWED    who acted, and the user's record as of that commit
    process -> worker    READY   the models are loaded, the catalogue is heard
                         NEXT    one debt less waits
                         MADE    what a slate was chosen from, for the order to be learnt when its user acts again
                         FRESH   a slate was produced so many seconds after its click reached the log
                         DONE    a slate is in the log, or there was none to show, or the log did not take it
                         METRICS all that the process has measured, as Prometheus reads it

Both ends are of one build on one machine, so a frame is a length, a kind and plain little-endian fields.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, cast

import numpy as np
import orjson

from online_models import features
from online_models.candidates import Candidates
from online_models.features import OF_ITEM, Buckets
from online_models.history import UserRecord, decode, encode
from streams.slates import Owed

_FRAME = struct.Struct("<IB")  # bytes that follow, kind
_OWED = struct.Struct("<QIIIqq")  # number, bytes of names and of the record, partition, acted, appended
_MADE = struct.Struct("<qHHIHBBB")  # user, bytes of the variant, of names that failed, rows, sources, buckets
_DONE = struct.Struct("<QBd")  # number, what came of it, CPU time so far
_FRESH = struct.Struct("<d")


class Kind(IntEnum):
    """What a frame is."""

    OWED, READY, NEXT, MADE, FRESH, DONE, METRICS = range(7)


class Came(IntEnum):
    """What became of a debt."""

    IN_LOG, NOTHING_TO_SHOW, NOT_TAKEN = range(3)


class Done(NamedTuple):
    """A debt by its number, what became of it, and the CPU time that slates have cost the process so far, s."""

    number: int
    came: Came
    cpu_s: float


class Line(asyncio.Protocol):
    """One end: frames are sent, and those that arrive are handed to ``take``; ``ended`` is called once, at the end."""

    def __init__(self, take: Callable[[Kind, memoryview], None], ended: Callable[[], None]) -> None:
        self._take, self._ended = take, ended
        self._transport: asyncio.WriteTransport | None = None
        self._held = bytearray()
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.WriteTransport, transport)  # as uvloop's is in all but name

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._held += data
        at, whole = 0, bytes(self._held) if len(self._held) > len(data) else data
        view = memoryview(whole)
        while len(whole) - at >= _FRAME.size:
            length, kind = _FRAME.unpack_from(whole, at)
            end = at + _FRAME.size + length
            if end > len(whole):
                break
            self._take(Kind(kind), view[at + _FRAME.size : end])
            at = end
        del self._held[:at]

    def connection_lost(self, error: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._ended()

    def send(self, kind: Kind, *parts: bytes) -> None:
        """One frame, of these parts; frames of one turn of the loop go together."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += (_FRAME.pack(sum(map(len, parts)), kind), *parts)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def close(self) -> None:
        """No more is sent; the other end hears that."""
        self._flush()
        if self._transport is not None:
            self._transport.close()


def pack_owed(number: int, owed: Owed, record: UserRecord | None, context: str = "") -> list[bytes]:
    """A debt with its user's record (None where it is to be read from the store) and the trace it is in.

    >>> owed = Owed(3, "u", "click", acted=5, appended=6)
    >>> record = UserRecord(recent_items=[4], recent_ts=[1_000], impressed={7: 2})
    >>> unpack_owed(memoryview(b"".join(pack_owed(1, owed, record, "00-1")))) == (1, owed, record, "00-1")
    True
    """
    names = orjson.dumps([owed.user_id, owed.cause, context])
    known, impressed = b"", b""
    if record is not None:
        known = encode(record)
        impressed = np.array([*record.impressed.items()], dtype="<i4").tobytes()
    head = _OWED.pack(number, len(names), len(known), owed.partition, owed.acted, owed.appended)
    return [head, names, known, impressed]


def unpack_owed(frame: memoryview) -> tuple[int, Owed, UserRecord | None, str]:
    """What :func:`pack_owed` packed."""
    number, named, known, partition, acted, appended = _OWED.unpack_from(frame)
    at = _OWED.size + named
    user_id, cause, context = orjson.loads(frame[_OWED.size : at])
    owed = Owed(partition, user_id, cause, acted, appended)
    if not known:
        return number, owed, None, context
    record = decode(bytes(frame[at : at + known]))
    pairs = np.frombuffer(frame[at + known :], dtype="<i4").reshape(-1, 2)
    record.impressed = dict(pairs.tolist())
    return number, owed, record, context


def pack_made(user: int, candidates: Candidates, variant: str) -> list[bytes]:
    """What a slate was chosen from; shares and what is told of items in half precision, logarithms follow from them.

    Whole, a slate would be 37 kB, and half a dozen all that the worker's loop reads in one turn.

    >>> rows = np.array([[-4.6, 0.5, 1, 0, 0, 0, 0, 0, 1, 0.0], [0.01, 2.5, 0, 0, 0, 0, 0, 0, 1, 1.0]], "<f4")
    >>> c = Candidates(np.array([2, 9], "<i4"), rows, np.zeros(2, "i1"), Buckets(0, 1, 2), ("vsk",))
    >>> user, same, variant = unpack_made(memoryview(b"".join(pack_made(-1, c, "a=b"))))
    >>> user, same.ids.tolist(), same.buckets, same.failed, variant
    (-1, [2, 9], Buckets(gap=0, pace=1, length=2), ('vsk',), 'a=b')
    >>> bool(np.allclose(same.features, rows, atol=0.01))
    True
    """
    named, failed, b = variant.encode(), "\n".join(candidates.failed).encode(), candidates.buckets
    rows, columns = candidates.features.shape
    sources = (columns - len(OF_ITEM)) // 2
    head = _MADE.pack(user, len(named), len(failed), rows, sources, b.gap, b.pace, b.length)
    half = np.ascontiguousarray(candidates.features[:, sources:].T, dtype="<f2")
    return [head, named, failed, candidates.ids.tobytes(), candidates.source.tobytes(), half.tobytes()]


def unpack_made(frame: memoryview) -> tuple[int, Candidates, str]:
    """What :func:`pack_made` packed; ids and sources are views of the frame."""
    user, named, failed, rows, _, *buckets = _MADE.unpack_from(frame)
    at = _MADE.size
    variant = str(frame[at : at + named], "utf-8")
    names = str(frame[at + named : at + named + failed], "utf-8")
    at += named + failed
    ids = np.frombuffer(frame, dtype="<i4", count=rows, offset=at)
    source = np.frombuffer(frame, dtype="i1", count=rows, offset=at + 4 * rows)
    half = np.frombuffer(frame, dtype="<f2", offset=at + 5 * rows).astype(np.float32).reshape(-1, rows)
    of_item, share = np.ascontiguousarray(half[: len(OF_ITEM)].T), half[len(OF_ITEM) :]
    table, _ = features.table(np.arange(rows), share, features.logarithms(share), of_item)
    failures = tuple(names.split("\n")) if names else ()
    return user, Candidates(ids, table, source, Buckets(*buckets), failures), variant


def pack_done(number: int, came: Came, cpu_s: float) -> bytes:
    """What became of a debt.

    >>> unpack_done(memoryview(pack_done(7, Came.IN_LOG, 0.5)))
    Done(number=7, came=<Came.IN_LOG: 0>, cpu_s=0.5)
    """
    return _DONE.pack(number, came, cpu_s)


def unpack_done(frame: memoryview) -> Done:
    """What :func:`pack_done` packed."""
    number, came, cpu_s = _DONE.unpack(frame)
    return Done(number, Came(came), cpu_s)


def pack_fresh(seconds: float) -> bytes:
    """How fresh a slate is."""
    return _FRESH.pack(seconds)


def unpack_fresh(frame: memoryview) -> float:
    """What :func:`pack_fresh` packed."""
    return float(_FRESH.unpack(frame)[0])
