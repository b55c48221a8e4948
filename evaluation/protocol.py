"""Test, then learn: the one loop every figure of quality comes from, and what it counts.

An event is scored when its user has history and its item was seen before. Candidates are all items seen so far (minus
the user's history, for ratings); the rank of the target is the number of greater scores plus half the ties; an item
that was not retrieved ranks below all that were. Then everything learns from the event, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import Dataset, DatasetError, Rating, SessionClick
from online_models.base import RECENT, Ids, Interaction, Query
from online_models.candidates import Candidates
from online_models.history import UserRecord
from online_models.metrics import rank_of
from online_models.model import Model

Mode = Literal["request", "at-event"]
NOT_HELD = float("inf")
GAPS = (("0", 1), ("under a minute", 60_000), ("under an hour", 3_600_000), ("more", 1 << 62))


@dataclass(frozen=True, slots=True)
class Event:
    """A user acted on an item; users and items are numbered in order of appearance."""

    user: int
    item: int
    ts: int


class Arm(Protocol):
    """A recommender under test."""

    def rank(self, query: Query, target: int, exclude: Ids) -> float:
        """The target's rank, 0 for the top; ``inf`` when it was not retrieved."""

    def learn(self, x: Interaction) -> None:
        """Learn from the event that was just ranked, or could not be."""


def numbered(rows: Iterable[tuple[str, str, int]]) -> list[Event]:
    """Events from (user, item, ts), sorted by time; equal times keep their order.

    >>> numbered([("a", "x", 5), ("b", "x", 3)])
    [Event(user=0, item=0, ts=3), Event(user=1, item=0, ts=5)]
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    return [
        Event(users.setdefault(user, len(users)), items.setdefault(item, len(items)), ts)
        for user, item, ts in sorted(rows, key=lambda row: row[2])
    ]


def events_of(dataset: Dataset, *, min_rating: float | None = None, limit: int | None = None) -> list[Event]:
    """The positive events of a data set, in order of time: ratings from ``min_rating`` on, or clicks in sessions.

    Raises:
        DatasetError: the data set holds neither, or no rating is that high.
    """
    if dataset.kind == "impressions":
        raise DatasetError("logged impressions tell what was shown; ratings or sessions are needed here")
    rows = [
        (r.user, r.item, r.ts_ms) if isinstance(r, Rating) else (r.session, r.item, r.ts_ms)
        for r in dataset.records
        if isinstance(r, SessionClick)
        or (isinstance(r, Rating) and (min_rating is None or r.rating >= min_rating))
    ]
    if not rows:
        raise DatasetError(
            f"there is no rating of {min_rating} or more" if min_rating else "there are no events"
        )
    return numbered(rows)[:limit]


@dataclass(slots=True)
class Tally:
    """The ranks of one arm over a stream, and the gap before each scored event."""

    k: int
    events: int = 0
    ranks: list[float] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)

    def recall(self, rows: slice | NDArray[np.bool_] = slice(None)) -> float:
        """Share of scored events whose item was among the first ``k``."""
        ranks = np.array(self.ranks)[rows]
        return float((ranks < self.k).mean()) if len(ranks) else 0.0

    def recall_all(self) -> float:
        """The same over all events: what could not be scored is a miss."""
        return float((np.array(self.ranks) < self.k).sum() / max(self.events, 1))

    def dcg(self) -> float:
        """Mean of 1 / log2(rank + 2) within the first ``k``."""
        ranks = np.array(self.ranks)
        gains = np.where(ranks < self.k, 1.0 / np.log2(np.minimum(ranks, 1e9) + 2.0), 0.0)
        return float(gains.sum() / max(len(ranks), 1))

    def mrr(self, k: int | None = None) -> float:
        """Mean of 1 / (rank + 1), within the first ``k`` if that is given."""
        ranks = np.array(self.ranks)
        return float(np.where(ranks < (k or np.inf), 1.0 / (ranks + 1.0), 0.0).sum() / max(len(ranks), 1))

    def by_fifth(self) -> list[float]:
        """Recall in each fifth of the scored events."""
        hits = np.array(self.ranks) < self.k
        return [float(part.mean()) if len(part) else 0.0 for part in np.array_split(hits, 5)]

    def last_80_percent(self) -> float:
        """Recall without the first fifth, the only one that settings were chosen on."""
        return self.recall(slice(len(self.ranks) // 5, None))

    def by_gap(self) -> dict[str, float]:
        """Recall by the time since the user's previous event."""
        gaps, low, out = np.array(self.gaps), 0, {}
        for name, high in GAPS:
            rows = (gaps >= low) & (gaps < high)
            if rows.any():
                out[name] = self.recall(rows)
            low = high
        return out


def replay(
    events: Sequence[Event],
    arms: dict[str, Arm],
    *,
    k: int,
    mode: Mode = "request",
    exclude_history: bool = True,
    before: Callable[[Event], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tally]:
    """Test, then learn, every arm on the same events.

    Args:
        k: length of the list.
        mode: ``request`` asks as of the user's previous event (a list is shown before it is acted on), ``at-event`` as
            of the target's own time.
        exclude_history: whether what the user acted on is no candidate.
        before: told of each event before anything is ranked.
        progress: told after each event how many there were.

    Raises:
        ValueError: ``mode`` is neither.
    """
    if mode not in ("request", "at-event"):
        raise ValueError(f"mode must be request or at-event, not {mode!r}")
    tallies = {name: Tally(k) for name in arms}
    histories: dict[int, tuple[list[int], list[int]]] = {}
    records: dict[int, UserRecord] = {}  # by which each pair has one vote a day
    seen: set[int] = set()
    for number, event in enumerate(events, start=1):
        items, times = histories.setdefault(event.user, ([], []))
        recent, recent_ts = tuple(items[: -RECENT - 1 : -1]), tuple(times[: -RECENT - 1 : -1])
        if before is not None:
            before(event)
        scored = bool(items) and event.item in seen and not (exclude_history and event.item in items)
        if scored:
            now = recent_ts[0] if mode == "request" else event.ts
            query = Query(event.user, recent, recent_ts, now)
            exclude = np.array(items if exclude_history else (), dtype=np.int32)
        record = records.setdefault(event.user, UserRecord())
        record.spend(event.ts, 1)
        x = Interaction(
            event.user, event.item, event.ts, recent, recent_ts, 1.0, record.voted(event.item, event.ts)
        )
        record.act(event.item, event.ts, 0)
        for name, arm in arms.items():
            tally = tallies[name]
            tally.events += 1
            if scored:
                tally.ranks.append(arm.rank(query, event.item, exclude))
                tally.gaps.append(event.ts - recent_ts[0])
            arm.learn(x)
        items.append(event.item)
        times.append(event.ts)
        seen.add(event.item)
        if progress is not None:
            progress(number)
    return tallies


class ModelArm:
    """freshet's own model: candidates, order, and what each source alone would have said.

    Args:
        held_at: whether the target is among so many candidates is counted for each.
        sources: also rank by each source alone (untimed; twice the work).
    """

    def __init__(
        self, model: Model, *, n: int = 200, held_at: Sequence[int] = (100, 200), sources: bool = False
    ) -> None:
        self.model, self.n = model, n
        self.held = dict.fromkeys(held_at, 0)
        self.learn_s: list[float] = []
        self.recommend_s: list[float] = []
        self.by_source: dict[str, list[float]] = {name: [] for name in model.sources} if sources else {}
        self._last: Candidates | None = None

    def rank(self, query: Query, target: int, exclude: Ids) -> float:
        """See :class:`Arm`."""
        started = time.perf_counter()
        c = self.model.candidates(query, self.n, exclude=exclude)
        scores = self.model.order(c)
        self.recommend_s.append(time.perf_counter() - started)
        self._last = c
        at = c.place(target)
        if self.by_source:
            self._rank_sources(query, target, exclude)
        if at is not None:
            self._hold(at, c)
        return NOT_HELD if at is None else rank_of(scores, at)

    def _hold(self, at: int, c: Candidates) -> None:
        worth = self.model.head.linear(c.features, c.buckets)
        place = float((worth > worth[at]).sum())
        for n in self.held:
            self.held[n] += place < n

    def _rank_sources(self, query: Query, target: int, exclude: Ids) -> None:
        ids, scores = self.model.scores_by_source(query, exclude)
        at = int(np.searchsorted(ids, target))
        found = at < len(ids) and ids[at] == target
        for k, ranks in enumerate(self.by_source.values()):
            told = found and scores[k, at] > 0
            ranks.append(rank_of(scores[k], at) if told else NOT_HELD)

    def learn(self, x: Interaction) -> None:
        """See :class:`Arm`."""
        started = time.perf_counter()
        if self._last is not None:
            self.model.learn_order(self._last, x.item)
        self.model.learn_one(x)
        self.learn_s.append(time.perf_counter() - started)
        self._last = None
