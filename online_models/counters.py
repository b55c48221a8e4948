"""Item counters: exact counts, decayed sums, click rates and what is trending; in memory and as Redis writes.

:class:`CounterBatch` gathers what one micro-batch adds; the same increments go to Redis as commands
(:meth:`CounterBatch.writes`, in the commit of the batch) and into memory (:meth:`ItemCounters.apply`, after it).
Everything is a sum, so partials of many partitions or workers add up in any order.

Keys, each after the prefix of its partition (``item`` is an interned id, ``action`` may be ``impression``):

==================================  ===========  ==========================================================
key                                 type         holds
==================================  ===========  ==========================================================
``n:<action>``                      hash         item -> exact count
``d:<action>:<landmark>``           hash         item -> forward-decayed sum (:mod:`online_models.decay`)
``s:<surface>``                     hash         action -> exact count on this surface
``trend:<surface>:<landmark>``      sorted set   item by forward-decayed sum of positive actions
==================================  ===========  ==========================================================

Names may hold a colon: the landmark stands after the last one, the name between the first and the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Scores
from online_models.decay import keep_newest, landmark, previous, scale, weight
from online_models.kernels import gather

Write = tuple[str | bytes | int | float, ...]
IMPRESSION = "impression"
CLICK = "click"
_CLICKS: Mapping[str, float] = {CLICK: 1.0}


def _check_half_life(half_life_ms: int) -> None:
    if half_life_ms < 1:
        raise ValueError(f"half_life_ms must be at least 1, not {half_life_ms}")


class CounterBatch:
    """What one micro-batch adds to the item counters.

    Args:
        half_life_ms: of the decayed sums and of trending, at least 1.
        strengths: what one action adds to trending; actions that are absent or not above 0 add nothing.

    >>> batch = CounterBatch(half_life_ms=1_000)
    >>> batch.impression(7, ts=256_000, surface="home")
    >>> batch.action(7, "click", ts=257_000, surface="home")
    >>> for write in batch.writes():
    ...     print(*write)
    HINCRBY n:click 7 1
    HINCRBY n:impression 7 1
    HINCRBYFLOAT d:click:256000 7 2.0
    HINCRBYFLOAT d:impression:256000 7 1.0
    HINCRBY s:home click 1
    HINCRBY s:home impression 1
    ZINCRBY trend:home:256000 2.0 7
    """

    __slots__ = ("_mark", "_until", "counts", "decayed", "half_life_ms", "strengths", "surfaces", "trend")

    def __init__(self, half_life_ms: int, strengths: Mapping[str, float] = _CLICKS) -> None:
        _check_half_life(half_life_ms)
        self.half_life_ms = half_life_ms
        self.strengths = strengths
        self.counts: dict[tuple[str, int], int] = {}  # action, item
        self.decayed: dict[tuple[str, int, int], float] = {}  # action, landmark, item
        self.surfaces: dict[tuple[str, str], int] = {}  # surface, action
        self.trend: dict[tuple[str, int, int], float] = {}  # surface, landmark, item
        self._mark = self._until = 0

    def impression(self, item: int, ts: int, surface: str) -> None:
        """One slot was seen."""
        self._add(item, IMPRESSION, ts, surface)

    def action(self, item: int, action: str, ts: int, surface: str) -> None:
        """A user did something to an item."""
        self._add(item, action, ts, surface)

    def _add(self, item: int, action: str, ts: int, surface: str) -> None:
        if not self._mark <= ts < self._until:
            self._mark = landmark(ts, self.half_life_ms)
            self._until = self._mark - previous(0, self.half_life_ms)
        mark = self._mark
        factor = weight(ts, mark, self.half_life_ms)
        counts, decayed, surfaces = self.counts, self.decayed, self.surfaces
        counts[action, item] = counts.get((action, item), 0) + 1
        decayed[action, mark, item] = decayed.get((action, mark, item), 0.0) + factor
        surfaces[surface, action] = surfaces.get((surface, action), 0) + 1
        strength = self.strengths.get(action, 0.0)
        if strength > 0.0:
            key = (surface, mark, item)
            self.trend[key] = self.trend.get(key, 0.0) + factor * strength

    def merge(self, other: CounterBatch) -> None:
        """Add another batch of the same half-life."""
        if other.half_life_ms != self.half_life_ms:
            raise ValueError(f"half_life_ms must be {self.half_life_ms} as here, not {other.half_life_ms}")
        pairs: tuple[tuple[dict[Any, Any], Mapping[Any, Any]], ...] = (
            (self.counts, other.counts),
            (self.decayed, other.decayed),
            (self.surfaces, other.surfaces),
            (self.trend, other.trend),
        )
        for mine, theirs in pairs:
            for key, value in theirs.items():
                mine[key] = mine.get(key, 0) + value

    def writes(self, prefix: str = "") -> list[Write]:
        """The increments as Redis commands, sorted; the client writes floats so that they read back to the same double.

        Windows that are read no more are deleted by the batch that first writes two windows later.

        Args:
            prefix: of every key.
        """
        out: list[Write] = []
        key, of = "", None
        for (action, item), n in sorted(self.counts.items()):
            if action != of:
                key, of = f"{prefix}n:{action}", action
            out.append(("HINCRBY", key, item, n))
        of_window: tuple[str, int] | None = None
        for (action, mark, item), value in sorted(self.decayed.items()):
            if (action, mark) != of_window:
                key, of_window = f"{prefix}d:{action}:{mark}", (action, mark)
            out.append(("HINCRBYFLOAT", key, item, value))
        for (surface, action), n in sorted(self.surfaces.items()):
            out.append(("HINCRBY", f"{prefix}s:{surface}", action, n))
        for (surface, mark, item), value in sorted(self.trend.items()):
            out.append(("ZINCRBY", f"{prefix}trend:{surface}:{mark}", value, item))
        return out + self._expired(prefix)

    def _expired(self, prefix: str) -> list[Write]:
        kinds = {(f"d:{action}", mark) for action, mark, _ in self.decayed}
        kinds |= {(f"trend:{surface}", mark) for surface, mark, _ in self.trend}
        gone = {(key, previous(previous(mark, self.half_life_ms), self.half_life_ms)) for key, mark in kinds}
        return [("DEL", f"{prefix}{key}:{mark}") for key, mark in sorted(gone) if mark >= 0]


class ItemCounters:
    """The counters of all items in memory, as dense arrays by interned id.

    A read never inserts: an unknown item, action or surface counts 0.

    Args:
        half_life_ms: of the decayed sums and of trending, at least 1.
        max_items: ids from this one on are left out (and counted in ``overflow``), at least 1.
        max_names: most actions and most surfaces held, further ones are left out and counted, at least 1.
        prior_impressions: how many impressions at its surface's rate an unknown item starts with, above 0.
        prior_rate: the rate a surface starts with, between 0 and 1.

    >>> counters = ItemCounters(half_life_ms=1_000)
    >>> batch = CounterBatch(half_life_ms=1_000)
    >>> for _ in range(4):
    ...     batch.impression(0, ts=1_000, surface="home")
    >>> batch.action(0, "click", ts=1_000, surface="home")
    >>> counters.apply(batch)
    >>> counters.get(0, "impression"), counters.get(0, "click"), counters.get(9, "click")
    (4, 1, 0)
    >>> counters.click_rate(np.array([0, 9])).round(2).tolist()
    [0.11, 0.08]
    >>> counters.trending("home", now=2_000, n=5)[0].tolist()
    [0]
    """

    def __init__(
        self,
        half_life_ms: int,
        *,
        max_items: int = 10_000_000,
        max_names: int = 64,
        prior_impressions: float = 20.0,
        prior_rate: float = 0.05,
    ) -> None:
        _check_half_life(half_life_ms)
        if max_items < 1 or max_names < 1 or not prior_impressions > 0:
            raise ValueError("max_items and max_names must be at least 1, prior_impressions above 0")
        if not 0 < prior_rate < 1:
            raise ValueError(f"prior_rate must be between 0 and 1, not {prior_rate}")
        self.half_life_ms = half_life_ms
        self.max_items, self.max_names = max_items, max_names
        self.prior_impressions = prior_impressions
        self.prior_rate = prior_rate
        self.overflow = 0
        self.counts: dict[str, NDArray[np.int64]] = {}
        self.decayed: dict[str, dict[int, NDArray[np.float64]]] = {}
        self.trend: dict[str, dict[int, NDArray[np.float64]]] = {}
        self.surfaces: dict[str, dict[str, int]] = {}
        self._size = 1_024

    # ------------------------------------------------------------------ writing

    def update(self, item: int, action: str, ts: int, surface: str = "default") -> None:
        """Count one impression or action at once; a stream of many is cheaper through a batch."""
        batch = CounterBatch(self.half_life_ms)
        batch.action(item, action, ts, surface)
        self.apply(batch)

    def apply(self, batch: CounterBatch) -> None:
        """Add what a batch holds; call it once the batch is committed."""
        if batch.half_life_ms != self.half_life_ms:
            raise ValueError(f"half_life_ms must be {self.half_life_ms} as here, not {batch.half_life_ms}")
        for (action, item), n in batch.counts.items():
            self.add_count(action, item, n)
        for (action, mark, item), value in batch.decayed.items():
            self.add_decayed(action, mark, item, value)
        for (surface, action), n in batch.surfaces.items():
            self.add_surface(surface, action, n)
        for (surface, mark, item), value in batch.trend.items():
            self.add_trend(surface, mark, item, value)

    def add_count(self, action: str, item: int, n: int) -> None:
        """Add to an exact count; the way a partial read from Redis (``n:<action>``) comes in."""
        if self._room(self.counts, action, item):
            if action not in self.counts:
                self.counts[action] = np.zeros(self._size, dtype=np.int64)
            self.counts[action][item] += n

    def add_decayed(self, action: str, mark: int, item: int, value: float) -> None:
        """Add to a decayed sum (``d:<action>:<landmark>``)."""
        if self._room(self.decayed, action, item):
            self._window(self.decayed.setdefault(action, {}), mark)[item] += value

    def add_trend(self, surface: str, mark: int, item: int, value: float) -> None:
        """Add to a trending sum (``trend:<surface>:<landmark>``)."""
        if self._room(self.trend, surface, item):
            self._window(self.trend.setdefault(surface, {}), mark)[item] += value

    def add_surface(self, surface: str, action: str, n: int) -> None:
        """Add to a surface's count of an action (``s:<surface>``)."""
        if self._room(self.surfaces, surface, 0):
            row = self.surfaces.setdefault(surface, {})
            if self._room(row, action, 0):
                row[action] = row.get(action, 0) + n

    def add_redis(self, key: str, rows: Iterable[tuple[bytes | str, bytes | str | float]]) -> None:
        """Add one partition's partial as read from Redis: a key without its prefix, and its fields or members.

        Raises:
            ValueError: the key is none of those in the table above.
        """
        kind, _, rest = key.partition(":")
        name, _, mark = rest.rpartition(":")
        for field, value in rows:
            if kind == "n":
                self.add_count(rest, int(field), int(value))
            elif kind == "s":
                action = field.decode() if isinstance(field, bytes) else field
                self.add_surface(rest, action, int(value))
            elif kind in ("d", "trend"):
                add = self.add_decayed if kind == "d" else self.add_trend
                add(name, int(mark), int(field), float(value))
            else:
                raise ValueError(f"key must begin with n:, d:, s: or trend:, not {key!r}")

    def merge(self, other: ItemCounters) -> None:
        """Add another set of counters of the same half-life."""
        for action, counts in other.counts.items():
            for item in np.flatnonzero(counts).tolist():
                self.add_count(action, item, int(counts[item]))
        for table, add in ((other.decayed, self.add_decayed), (other.trend, self.add_trend)):
            for name, windows in table.items():
                for mark, sums in windows.items():
                    for item in np.flatnonzero(sums).tolist():
                        add(name, mark, item, float(sums[item]))
        for surface, row in other.surfaces.items():
            for action, n in row.items():
                self.add_surface(surface, action, n)

    def _room(self, table: Mapping[str, object], name: str, item: int) -> bool:
        if not 0 <= item < self.max_items or (name not in table and len(table) >= self.max_names):
            self.overflow += 1
            return False
        if item >= self._size:
            self._grow(item)
        return True

    def _grow(self, item: int) -> None:
        while self._size <= item:
            self._size = min(2 * self._size, self.max_items)
        for action, counts in self.counts.items():
            self.counts[action] = _padded(counts, self._size)
        for table in (self.decayed, self.trend):
            for windows in table.values():
                for mark, sums in windows.items():
                    windows[mark] = _padded(sums, self._size)

    def _window(self, windows: dict[int, NDArray[np.float64]], mark: int) -> NDArray[np.float64]:
        sums = windows.get(mark)
        if sums is None:
            sums = windows[mark] = np.zeros(self._size, dtype=np.float64)
            keep_newest(windows, self.half_life_ms)
        return sums

    # ------------------------------------------------------------------ reading

    def get(self, item: int, action: str) -> int:
        """The exact count of an action on an item."""
        counts = self.counts.get(action)
        return int(counts[item]) if counts is not None and 0 <= item < len(counts) else 0

    def exact(self, items: Ids, action: str) -> NDArray[np.int64]:
        """Exact counts of an action, int64[n]."""
        counts = self.counts.get(action)
        return np.zeros(len(items), dtype=np.int64) if counts is None else _take(counts, items)

    def fading(self, items: Ids, action: str, now: int) -> NDArray[np.float64]:
        """Decayed sums of an action at ``now``, ms; float64[n]."""
        total = np.zeros(len(items), dtype=np.float64)
        for sums, factor in self.windows(action, now):
            gather.add_scaled(total, sums, items.astype(np.int32, copy=False), factor)
        return total

    def windows(self, action: str, now: int) -> list[tuple[NDArray[np.float64], float]]:
        """The tables that decayed sums of an action at ``now`` add up from, by item, and what each counts."""
        held = self.decayed.get(action, {})
        return [(sums, scale(mark, now, self.half_life_ms)) for mark, sums in held.items()]

    def surface_rate(self, surface: str | None = None) -> float:
        """Clicks per impression of one surface, or of all; ``prior_rate`` while nothing was seen."""
        rows = self.surfaces.values() if surface is None else [self.surfaces.get(surface, {})]
        clicks = sum(row.get(CLICK, 0) for row in rows)
        seen = sum(row.get(IMPRESSION, 0) for row in rows)
        k = self.prior_impressions
        return (clicks + k * self.prior_rate) / (max(seen, clicks) + k)

    def click_rate(
        self, items: Ids, now: int | None = None, surface: str | None = None
    ) -> NDArray[np.float64]:
        """Clicks per impression, drawn towards the surface's mean where little was seen; float64[n].

        With ``now`` (ms) the decayed sums count, else the exact ones. It is the mean of a beta posterior:
        ``(clicks + k * mean) / (impressions + k)`` with ``k = prior_impressions``.
        """
        clicks: NDArray[Any] = self.exact(items, CLICK) if now is None else self.fading(items, CLICK, now)
        seen: NDArray[Any] = (
            self.exact(items, IMPRESSION) if now is None else self.fading(items, IMPRESSION, now)
        )
        return self.rate_of(clicks, seen, self.surface_rate(surface))

    def rate_of(self, clicks: NDArray[Any], seen: NDArray[Any], mean: float) -> NDArray[np.float64]:
        """Sums of clicks and impressions as rates drawn towards ``mean``, float64[n]; see :meth:`click_rate`."""
        k = self.prior_impressions
        rate: NDArray[np.float64] = (clicks + k * mean) / (np.maximum(seen, clicks) + k)
        return rate

    def trending(self, surface: str, now: int, n: int) -> tuple[Ids, Scores]:
        """At most ``n`` items with the greatest decayed sums at ``now``, best first, ties by the lower id."""
        total = np.zeros(self._size, dtype=np.float64)
        for mark, sums in self.trend.get(surface, {}).items():
            total += sums * scale(mark, now, self.half_life_ms)
        alive = np.flatnonzero(total > 0.0)
        if len(alive) > 4 * n > 0:
            edge = np.partition(total[alive], len(alive) - n)[len(alive) - n]
            alive = alive[total[alive] >= edge]
        order = alive[np.lexsort((alive, -total[alive]))][: max(n, 0)]
        return order.astype(np.int32), total[order].astype(np.float32)

    # ------------------------------------------------------------------ snapshots

    def arrays(self) -> Arrays:
        """All counters, named as their Redis keys are; ``surfaces`` is JSON as bytes."""
        out: Arrays = {f"n:{action}": counts.copy() for action, counts in self.counts.items()}
        for kind, table in (("d", self.decayed), ("trend", self.trend)):
            for name, windows in table.items():
                out.update({f"{kind}:{name}:{mark}": sums.copy() for mark, sums in windows.items()})
        out["surfaces"] = np.frombuffer(orjson.dumps(self.surfaces), dtype=np.uint8)
        return out

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.counts, self.decayed, self.trend = {}, {}, {}
        self.surfaces = orjson.loads(arrays["surfaces"].tobytes())
        for key, array in arrays.items():
            if key == "surfaces":
                continue
            used = np.flatnonzero(array)
            self.add_redis(key, zip(map(str, used.tolist()), array[used].tolist(), strict=True))


def _padded(array: NDArray[Any], size: int) -> NDArray[Any]:
    out = np.zeros(size, dtype=array.dtype)
    out[: len(array)] = array
    return out


def _take(array: NDArray[Any], items: Ids) -> NDArray[Any]:
    if not len(array):
        return np.zeros(len(items), dtype=array.dtype)
    known = (items >= 0) & (items < len(array))
    out: NDArray[Any] = array.take(items, mode="clip")
    return out if known.all() else np.where(known, out, 0)
