"""What happens in a demo: simulated users who look at slates and click, or a public data set replayed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from evaluation.datasets import open_dataset
from evaluation.hitboard import HitBoard
from evaluation.simulator import World, WorldConfig
from streams import ask
from streams.client import EventProducer
from streams.clock import wall_ms
from streams.demo_watch import Watch
from streams.replay import events_of, send_catalog
from streams.settings import Settings
from streams.simulate import Plan, Slate, Traffic

VISITS_PER_S = 30.0
REPLAYED_PER_S = 60.0
SLOTS = 10
SHIFT_AFTER_S = 60.0
FOREVER_S = 86_400.0
LATELY = 3


class Play(Protocol):
    """Something that happens, in a thread of its own, and is scored."""

    events: int

    @property
    def titles(self) -> Mapping[str, str]:
        """Of the items, by id."""

    def run(self, ended: threading.Event) -> None:
        """Until it is over, or ``ended`` is set."""

    def rates(self) -> dict[str, float | None]:
        """``ctr_policy``, ``ctr_popular``, ``ctr_random``, and what else is known."""


class SimulatedPlay:
    """Users with known tastes; tastes of half of them change half-way."""

    def __init__(
        self, settings: Settings, watch: Watch, base: str, *, seed: int, duration_s: float | None
    ) -> None:
        shift_s = SHIFT_AFTER_S if duration_s is None else duration_s / 2
        config = WorldConfig(seed=seed, start_ms=wall_ms(), shift_after_ms=round(1_000 * shift_s))
        self.world = World(config)
        plan = Plan(rate_per_s=VISITS_PER_S, duration_s=duration_s or FOREVER_S, n=SLOTS)
        self._ended = threading.Event()
        self.traffic = Traffic(self.world, plan, wait=self._wait)
        self.titles = dict(zip(self.world.item_ids, self.world.truth.titles, strict=True))
        self.events = self.unanswered = 0
        self._settings, self._watch, self._base = settings, watch, base

    def _wait(self, ts: int) -> None:
        self._ended.wait(max(0.0, ts / 1_000 - time.time()))

    def run(self, ended: threading.Event) -> None:
        """See :class:`Play`."""
        self._ended = ended
        with EventProducer.of(self._settings) as producer:
            for happening in self.traffic:
                if ended.is_set() or happening.ts > self.traffic.end_ms:
                    return
                if happening.item is not None:
                    entry = dict(happening.item)
                    producer.item(entry.pop("item_id"), **entry)
                elif happening.event is not None:
                    self._send(producer, happening.event)
                elif happening.visit is not None:
                    self._visit(happening.visit, happening.ts)

    def _send(self, producer: EventProducer, event: dict[str, Any]) -> None:
        if event["user_id"] == self._watch.shown.user_id and "item_id" in event:
            self._watch.clicks[event["event_id"]] = event["item_id"]
        producer.event(event)
        self.events += 1

    def _visit(self, user: str, ts: int) -> None:
        try:
            answer = ask.recommendations(self._base, user, n=SLOTS)
        except ask.ApiUnavailable:
            self.unanswered += 1  # a visit that is shown nothing
            return
        items = [item["item_id"] for item in answer["items"]]
        self.traffic.show(user, Slate(items, answer["request_id"]), ts)

    def rates(self) -> dict[str, float | None]:
        """See :class:`Play`."""
        board = self.traffic.board
        told = {**board.rates(), "regret": board.regret()}
        curve = board.curve()[-LATELY:]
        slates = sum(count for _, count, _ in curve)
        for arm in ("policy", "popular", "random"):
            lately = sum(count * means[arm] for _, count, means in curve)
            told[f"ctr_{arm}_lately"] = lately / slates if slates else None
        return told


class ReplayedPlay:
    """A public data set, its events happening now; slates are scored by what the user does next."""

    def __init__(self, settings: Settings, watch: Watch, base: str, *, data: Path) -> None:
        self._dataset = open_dataset(data)
        self._source = data.name.split(".")[0]
        self.titles = {item: info.title for item, info in self._dataset.items.items()}
        self.board = HitBoard()
        self.events = 0
        self._settings, self._watch, self._base = settings, watch, base

    def run(self, ended: threading.Event) -> None:
        """See :class:`Play`."""
        begun = time.monotonic()
        with EventProducer.of(self._settings) as producer:
            send_catalog(self._dataset, producer)
            for number, event in enumerate(events_of(self._dataset, source=self._source)):
                ended.wait(max(0.0, begun + number / REPLAYED_PER_S - time.monotonic()))
                if ended.is_set():
                    return
                self._one(producer, {**event, "ts": wall_ms()})

    def _one(self, producer: EventProducer, event: dict[str, Any]) -> None:
        user = event["user_id"]
        acted = "item_id" in event and event.get("action") != "dislike"
        if acted:
            self._score(user, event["item_id"])
            if not self._watch.shown.after or user == self._watch.shown.user_id:
                self._watch.clicks[event["event_id"]] = event["item_id"]
        producer.event(event)
        self.events += 1

    def _score(self, user: str, item: str) -> None:
        slate = self._watch.newest.get(user)
        if slate:
            self.board.score(user, item, list(islice(slate, SLOTS)))
        self.board.learn(user, item)

    def rates(self) -> dict[str, float | None]:
        """See :class:`Play`."""
        return self.board.rates()


def play_of(
    settings: Settings, watch: Watch, base: str, *, data: Path | None, seed: int, duration_s: float | None
) -> Play:
    """What the demo plays."""
    if data is not None:
        return ReplayedPlay(settings, watch, base, data=data)
    return SimulatedPlay(settings, watch, base, seed=seed, duration_s=duration_s)


def in_thread(
    play: Play, ended: threading.Event, failed: Callable[[BaseException], None]
) -> threading.Thread:
    """Start it; what it raises is told."""

    def run() -> None:
        try:
            play.run(ended)
        except BaseException as error:
            failed(error)

    thread = threading.Thread(target=run, name="demo-traffic", daemon=True)
    thread.start()
    return thread
