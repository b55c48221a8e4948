"""Everything that happens in a simulated world, in order of time: visits, slates, and reactions when they are due."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from evaluation.scoreboard import Scoreboard
from evaluation.simulator import World

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
