"""A stream of events produced as it once happened: in its original timing, faster, at a rate, or as fast as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from evaluation.datasets import Dataset, Rating, Record
from evaluation.wire import item_entry, to_events
from streams.client import EventProducer, EventRefused
from streams.clock import wall_ms

FLUSH_EVERY = 20_000
"""Records handed over and not acknowledged, at most: what bounds the memory of a fast replay."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When each event is due.

    Args:
        speed: 1 is the original timing, 100 a hundred times faster; None does not wait for event time.
        rate: events a second at most; None is unbounded.
    """

    speed: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("speed", self.speed), ("rate", self.rate)):
            if value is not None and value <= 0.0:
                raise ValueError(f"{name} must be above 0, not {value}")

    def due_s(self, number: int, ts: int, first_ts: int) -> float:
        """Seconds after the first event at which this one is due.

        >>> Pace(speed=10.0).due_s(number=3, ts=61_000, first_ts=1_000)
        6.0
        """
        by_time = 0.0 if self.speed is None else (ts - first_ts) / 1_000.0 / self.speed
        by_rate = 0.0 if self.rate is None else number / self.rate
        return max(by_time, by_rate)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    events: int
    refused: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds if self.seconds > 0.0 else 0.0


def events_of(
    dataset: Dataset, *, min_rating: float | None = None, in_order: bool = True, source: str = "replay"
) -> Iterator[dict[str, Any]]:
    """A data set's events.

    Args:
        min_rating: leave out ratings below it.
        in_order: sort by time first (in memory; a log is read in order of time).
        source: first part of the event ids.
    """
    records: Iterable[Record] = dataset.records.in_time_order() if in_order else dataset.records
    for index, record in enumerate(records):
        if min_rating is not None and isinstance(record, Rating) and record.rating < min_rating:
            continue
        yield from to_events(record, index, source=source)


def first_seen(events: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """When each item first occurs, ms: the nearest thing to its age where a data set tells none."""
    seen: dict[str, int] = {}
    for event in events:
        for item_id in [event["item_id"]] if "item_id" in event else [s["item_id"] for s in event["items"]]:
            seen.setdefault(item_id, event["ts"])
    return seen


def send_catalog(dataset: Dataset, producer: EventProducer, created: Mapping[str, int] | None = None) -> int:
    """Produce what is known of the items; returns how many.

    Args:
        created: when each item came into being, ms; one that is not in it came now.
    """
    for item_id, info in dataset.items.items():
        entry = item_entry(item_id, info)
        since = (created or {}).get(item_id)
        age = {} if since is None else {"created_at": since, "ts": since}
        producer.item(entry.pop("item_id"), **entry, **age)
    return len(dataset.items)


def replay(
    events: Iterable[Mapping[str, Any]],
    producer: EventProducer,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    as_of_now: bool = False,
    progress: Callable[[int], None] = lambda count: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Replayed:
    """Produce events and wait until all are acknowledged.

    Args:
        limit: events at most.
        as_of_now: each event's ``ts`` becomes the moment it is sent, in place of the one it once had.
        progress: told of the count so far, after each event.
    """
    pace = pace or Pace()
    begun, first_ts, sent, refused = clock(), None, 0, 0
    for number, event in enumerate(islice(events, limit)):
        first_ts = event["ts"] if first_ts is None else first_ts
        early = begun + pace.due_s(number, event["ts"], first_ts) - clock()
        if early > 0.0:
            sleep(early)
        try:
            producer.event({**event, "ts": wall_ms()} if as_of_now else event)
            sent += 1
        except EventRefused:
            refused += 1
        if number % FLUSH_EVERY == FLUSH_EVERY - 1:
            producer.flush()
        progress(number + 1)
    producer.flush()
    return Replayed(sent, refused, clock() - begun)
