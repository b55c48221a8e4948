"""What is remembered of one user: bounded history, seen set, vetoes, counts; and its compact form in Redis.

A record is a few hundred bytes, so that a million users fit in well under half a gibibyte. Items are interned ids of
24 bits (16.7 million items a namespace), times are seconds between neighbours, saturating at 194 days.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Set
from dataclasses import dataclass, field
from itertools import pairwise

import orjson

from online_models.base import RECENT, Query
from online_models.errors import FreshetError
from online_models.kernels import records
from online_models.turns import ENOUGH

_VERSION, _WITH_PASSED, _WITH_TURN = 1, 2, 4  # the latter two add up with each other, not with the first
_HEAD = struct.Struct("<BBHqIHHBBBB")
_WINDOW = struct.Struct("<qdd")
_COUNT = struct.Struct("<I")
_TURN = struct.Struct("<HII")
_KNOWN = (_VERSION, _WITH_PASSED, _WITH_TURN, _WITH_PASSED + _WITH_TURN)
_U24 = 0xFFFFFF
MAX_VETOES = 100
SHOWN = 40
"""How many of the latest slots seen without an action are remembered: 120 bytes a user."""
DAY_MS = 86_400_000
MAX_PASSED = 2_000
"""Items that leave a history in one day and are remembered for it; beyond them the user's pairs have no votes left."""


class RecordCorrupt(FreshetError):
    """A stored user record cannot be read; its version or its length does not fit."""


@dataclass(slots=True)
class UserRecord:
    """The state of one user; written by the owner of the user's partition alone.

    >>> record = UserRecord()
    >>> record.act(item=3, ts=1_000)
    >>> record.act(item=5, ts=4_000)
    >>> record.acted(3), record.acted(4)
    (True, False)
    >>> record.query(user=1, now=9_000).recent
    (5, 3)
    >>> decode(encode(record)) == record
    True
    """

    recent_items: list[int] = field(default_factory=list)  # oldest first, may repeat, at most RECENT
    recent_ts: list[int] = field(default_factory=list)  # aligned, ms, on whole seconds
    older: dict[int, None] = field(default_factory=dict)  # acted on before that or disliked, oldest first
    counts: dict[str, int] = field(default_factory=dict)  # impressions and each action, exact
    windows: dict[int, tuple[float, float]] = field(
        default_factory=dict
    )  # landmark -> decayed impressions, clicks
    vetoes: Set[str] = frozenset()  # "item:ID", "tag:NAME", "provider:NAME"
    group: str = ""
    day: int = 0  # days since the epoch, of the abuse cap
    day_events: int = 0
    shown: list[int] = field(default_factory=list)  # seen and not acted on, oldest first, at most SHOWN
    passed: dict[int, None] = field(default_factory=dict)  # left ``recent_items`` on ``day``
    doubt: int = 0  # whether tastes have changed, hundredths of log-likelihood (online_models.turns)
    doubt_since: int = 0  # when the first slate that raised it was served, ms, on whole seconds; 0 for none
    turned: int = 0  # what was done before is history no longer, ms, on whole seconds; 0 for never
    impressed: dict[int, int] = field(default_factory=dict)  # fatigue counts; kept in a key of their own
    packed: bytes | None = field(
        default=None, compare=False, repr=False
    )  # of the first three, until they change

    def act(self, item: int, ts: int, seen_max: int = 2_000) -> None:
        """Note a positive action; a late one takes its place in order of time.

        At most ``seen_max`` older items are remembered, the oldest is forgotten first.
        """
        self.packed = None
        if item in self.shown:
            self.shown = [other for other in self.shown if other != item]
        ts = ts // 1_000 * 1_000
        at = len(self.recent_ts)
        while at and self.recent_ts[at - 1] > ts:
            at -= 1
        self.recent_items.insert(at, item)
        self.recent_ts.insert(at, ts)
        if len(self.recent_items) > RECENT:
            gone = self.recent_items.pop(0)
            self.recent_ts.pop(0)
            if len(self.passed) < MAX_PASSED:
                self.passed[gone] = None
            self.pass_over(gone, seen_max)

    def pass_over(self, item: int, seen_max: int = 2_000) -> None:
        """Note that an item is done with, without making it part of the history: it is no sign of what is liked."""
        self.packed = None
        self.older.pop(item, None)
        self.older[item] = None
        while len(self.older) > seen_max:
            del self.older[next(iter(self.older))]

    def see(self, item: int) -> None:
        """Note that a slot was seen; an action on its item takes that back."""
        self.shown.append(item)
        del self.shown[:-SHOWN]

    def acted(self, item: int) -> bool:
        """Whether the user has acted on the item, as far back as is remembered."""
        return item in self.older or item in self.recent_items

    def acted_items(self) -> set[int]:
        """All items acted on, as far back as is remembered."""
        return set(self.recent_items).union(self.older)

    def weigh(self, evidence: int, ts: int) -> bool:
        """Take in what a slate served at ``ts`` (ms) says for other tastes; whether anything changed.

        Slates must come in the order in which their windows close.
        """
        before = self.doubt
        self.doubt = max(0, before + evidence)
        if not self.doubt:
            self.doubt_since = 0
        elif not before:
            self.doubt_since = ts // 1_000 * 1_000
        if self.doubt >= ENOUGH:
            self.turned, self.doubt, self.doubt_since = self.doubt_since, 0, 0
        return self.doubt != before

    def query(self, user: int, now: int) -> Query:
        """The history as a retriever is asked with it, newest first, since the user last turned to other tastes."""
        old = bisect_left(self.recent_ts, self.turned) if self.turned else 0
        return Query(
            user, tuple(self.recent_items[old:][::-1]), tuple(self.recent_ts[old:][::-1]), now,
            tuple(self.shown[::-1]),
        )  # fmt: skip

    def count(self, name: str, n: int = 1) -> None:
        """Add to an exact count."""
        self.counts[name] = self.counts.get(name, 0) + n

    def spend(self, ts: int, limit: int) -> bool:
        """Whether one more event of this user may feed shared state today (the abuse cap)."""
        day = ts // DAY_MS
        if day > self.day:  # a late event of a past day is charged to today: that day's count is gone
            self.day, self.day_events = day, 0
            self.passed.clear()
        self.day_events = min(self.day_events + 1, 0xFFFF)
        return self.day_events <= limit

    def voted(self, item: int, ts: int) -> int:
        """Which of the latest items have no vote for ``item`` left at a time: bit k for the k-th newest.

        The vote of a pair is for the earlier item, the later one and the day; ask before :meth:`act`, after
        :meth:`spend`. A vote is found by the later item's place in the history, or by both items having left the
        history that day. Where it cannot be known (a late event of a past day, and a history that was full; more items
        than are remembered) there is none left. What came after a late event is not earlier and has no vote.
        """
        recent, times, day = self.recent_items, self.recent_ts, ts // DAY_MS
        everything = (1 << len(recent)) - 1
        if (day < self.day and len(recent) == RECENT) or len(self.passed) >= MAX_PASSED:
            return everything
        later = sum(time > ts for time in times) if times and times[-1] > ts else 0
        none_left = (1 << later) - 1
        if item not in recent and item not in self.passed:
            return none_left
        same_day = [k for k, other in enumerate(recent) if other == item and times[k] // DAY_MS == day]
        if not same_day and item not in self.passed:
            return none_left
        before = {*recent[: same_day[-1] if same_day else 0], *self.passed}
        return none_left | sum(1 << k for k, other in enumerate(reversed(recent)) if other in before)

    def veto(self, what: str) -> None:
        """Never show this item, tag or provider again; past ``MAX_VETOES`` further ones are not kept."""
        if len(self.vetoes) < MAX_VETOES:
            self.vetoes = self.vetoes | {what}

    def merge(self, other: UserRecord, seen_max: int = 2_000) -> None:
        """Take over what another record (an anonymous session) did; its counts stay its own."""
        self.packed = None
        for item in other.older:
            if not self.acted(item):
                self.older[item] = None
        while len(self.older) > seen_max:
            del self.older[next(iter(self.older))]
        for item, ts in zip(other.recent_items, other.recent_ts, strict=True):
            self.act(item, ts, seen_max)
        for what in sorted(other.vetoes):
            self.veto(what)

    @property
    def is_new(self) -> bool:
        """Whether nothing has been acted on yet."""
        return not self.recent_items


def encode(record: UserRecord) -> bytes:
    """The record as bytes; little-endian, versioned, without ``impressed``."""
    last = record.recent_ts[-1] if record.recent_ts else 0
    vetoes = orjson.dumps(sorted(record.vetoes)) if record.vetoes else b""
    group = record.group.encode()[:255]
    head = _HEAD.pack(
        _version(record),
        len(record.recent_items),
        len(record.older),
        last,
        len(vetoes),
        min(record.day, 0xFFFF),
        record.day_events,
        len(record.counts),
        len(record.windows),
        len(group),
        len(record.shown),
    )
    if record.packed is None:  # most events change none of it
        record.packed = b"".join(
            map(records.u24, (record.recent_items, _gaps(record.recent_ts), record.older))
        )
    tail = b""
    if record.passed:  # rare: others are stored as they always were
        tail = len(record.passed).to_bytes(2, "little") + records.u24(record.passed)
    if record.doubt or record.turned:
        tail += _TURN.pack(record.doubt, record.doubt_since // 1_000, record.turned // 1_000)
    texts = vetoes + group + record.packed
    return records.pack(head, record.counts, record.windows, texts, record.shown, tail)


def _version(record: UserRecord) -> int:
    """Which parts follow what every record has."""
    more = _WITH_PASSED * bool(record.passed) + _WITH_TURN * bool(record.doubt or record.turned)
    return more or _VERSION


def decode(raw: bytes) -> UserRecord:
    """The record :func:`encode` wrote.

    Raises:
        RecordCorrupt: the version is unknown or the length does not fit.
    """
    try:
        return _decode(raw)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise RecordCorrupt(f"user record of {len(raw)} bytes cannot be read: {error}") from error


def _decode(raw: bytes) -> UserRecord:
    version, recent, older, last, vetoed, day, day_events, counts, windows, grouped, shown = (
        _HEAD.unpack_from(raw)
    )
    if version not in _KNOWN:
        raise ValueError(f"version {version}, this build reads {', '.join(map(str, _KNOWN))}")
    record = UserRecord(day=day, day_events=day_events)
    at = _HEAD.size
    for _ in range(counts):
        end = at + 1 + raw[at]
        record.counts[raw[at + 1 : end].decode()] = _COUNT.unpack_from(raw, end)[0]
        at = end + 4
    for _ in range(windows):
        landmark, impressions, clicks = _WINDOW.unpack_from(raw, at)
        record.windows[landmark] = (impressions, clicks)
        at += _WINDOW.size
    record.vetoes = frozenset(orjson.loads(raw[at : at + vetoed])) if vetoed else frozenset()
    at += vetoed
    record.group = raw[at : at + grouped].decode()
    at += grouped
    end = at + 3 * (2 * recent + older + shown)
    last_of = end
    if version & _WITH_PASSED:
        passed = int.from_bytes(raw[end : end + 2], "little")
        last_of = end + 2 + 3 * passed
        record.passed = dict.fromkeys(records.from_u24(raw, end + 2, passed))
    if version & _WITH_TURN:
        record.doubt, since, turned = _TURN.unpack_from(raw, last_of)
        record.doubt_since, record.turned = since * 1_000, turned * 1_000
        last_of += _TURN.size
    if len(raw) != last_of:
        raise ValueError("its length does not fit its header")
    record.recent_items = records.from_u24(raw, at, recent)
    record.recent_ts = _times(last, records.from_u24(raw, at + 3 * recent, recent))
    at += 6 * recent
    record.older = dict.fromkeys(records.from_u24(raw, at, older))
    record.shown = records.from_u24(raw, at + 3 * older, shown)
    return record


def _gaps(times: list[int]) -> list[int]:
    """Whole seconds between neighbours, aligned with ``times``; the first is 0."""
    return [0, *(min((b - a) // 1_000, _U24) for a, b in pairwise(times))] if times else []


def _times(last: int, gaps: list[int]) -> list[int]:
    times = [last] * len(gaps)
    for i in range(len(gaps) - 1, 0, -1):
        times[i - 1] = times[i] - gaps[i] * 1_000
    return times
