"""Simulated users against a real freshet, or alone: visits, slates, and reactions in their due time."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson

from evaluation.scoreboard import Scoreboard
from evaluation.simulator import World
from streams.client import EventProducer
from streams.settings import Settings

TAIL_MS = 600_000
"""Clicks that come later after the last visit than this are not waited for."""


@dataclass(frozen=True, slots=True)
class Slate:
    """What a user is shown, and by which request."""

    items: Sequence[str]
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How many visits: ``rate_per_s`` over ``duration_s``, slates of ``n``."""

    rate_per_s: float = 20.0
    duration_s: float = 60.0
    n: int = 10


Choose = Callable[[str, int, int, Collection[str]], Slate]
"""Who is shown what: (user, n, now, items the user acted on) -> slate."""


def now_ms() -> int:
    """The wall clock, ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Happening:
    """What happens at a moment: a user's visit, an event, or an item's arrival (a catalogue entry)."""

    ts: int
    visit: str | None = None
    event: dict[str, Any] | None = None
    item: dict[str, Any] | None = None


class Traffic:
    """Everything that happens in a world, in order of time.

    A visit is yielded when it is due; its slate is then given to :meth:`show`, and what the user does with it comes
    out later, at its own time.

    Args:
        wait: called with the moment of the next happening before it is yielded; sleeps where time is real.
    """

    def __init__(self, world: World, plan: Plan, wait: Callable[[int], None] = lambda ts: None) -> None:
        self.world, self.plan, self._wait = world, plan, wait
        self.board = Scoreboard(world)
        self.acted: defaultdict[str, set[str]] = defaultdict(set)  # at most users x items of the world
        self._queue: list[tuple[int, int, Happening]] = []
        self._order = count()
        self.end_ms = world.config.start_ms + round(plan.duration_s * 1_000)

    def __iter__(self) -> Iterator[Happening]:
        for entry in self.world.arrivals(self.end_ms):
            self._push(Happening(entry["ts"], item=entry))
        visits = self.world.visits(self.plan.rate_per_s, self.end_ms)
        self._next_visit(visits)
        while self._queue:
            ts, _, happening = heapq.heappop(self._queue)
            if ts > self.end_ms + TAIL_MS:
                return
            self._wait(ts)
            if happening.visit is not None:
                self._next_visit(visits)
            elif happening.event is not None and "item_id" in happening.event:
                self.acted[happening.event["user_id"]].add(happening.event["item_id"])
            yield happening

    def show(self, user: str, slate: Slate, now: int) -> None:
        """A user is shown a slate: score it, and let the user react in due time."""
        self.board.add(user, slate.items, now, self.acted[user])
        for event in self.world.react(user, slate.items, now, request_id=slate.request_id):
            self._push(Happening(event["ts"], event=event))

    def _next_visit(self, visits: Iterator[tuple[int, str]]) -> None:
        visit = next(visits, None)
        if visit is not None:
            self._push(Happening(visit[0], visit=visit[1]))

    def _push(self, happening: Happening) -> None:
        heapq.heappush(self._queue, (happening.ts, next(self._order), happening))


def to_kafka(world: World, plan: Plan, choose: Choose, settings: Settings) -> Scoreboard:
    """Produce a world's traffic as it happens, in real time; late clicks after the last visit are left out."""
    with EventProducer.of(settings) as producer:
        traffic = Traffic(world, plan, wait=_sleep_until)
        for happening in traffic:
            if happening.ts > traffic.end_ms:
                break
            if happening.item is not None:
                producer.item(happening.item["item_id"], **_without_id(happening.item))
            elif happening.event is not None:
                producer.event(happening.event)
            elif happening.visit is not None:
                _show(traffic, choose, happening.visit, happening.ts)
    return traffic.board


def to_lines(world: World, plan: Plan, choose: Choose, write: Callable[[bytes], Any]) -> Scoreboard:
    """Write a world's events as JSON lines, at once; the catalogue is not among them."""
    traffic = Traffic(world, plan)
    for happening in traffic:
        if happening.event is not None:
            write(orjson.dumps(happening.event) + b"\n")
        elif happening.visit is not None:
            _show(traffic, choose, happening.visit, happening.ts)
    return traffic.board


def _show(traffic: Traffic, choose: Choose, user: str, now: int) -> None:
    traffic.show(user, choose(user, traffic.plan.n, now, traffic.acted[user]), now)


def _sleep_until(ts: int) -> None:
    ahead = ts / 1_000.0 - time.time()
    if ahead > 0.0:
        time.sleep(ahead)


def _without_id(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != "item_id"}
