"""What comes out during a demo, counted: recommendations with their freshness, drift signals, dead letters."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from kafka import KafkaConsumer, TopicPartition

from streams.client import client_args
from streams.settings import Settings
from streams.topics import topic_name

TOPICS = ("recommendations", "drift-signals", "dead-letters")
KEPT = 20_000


@dataclass(slots=True)
class Shown:
    """The newest slates of the user who is looked at."""

    user_id: str = ""
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    clicked: str = ""
    freshness_ms: int | None = None


class Watch:
    """Reads the output topics in a thread of its own until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self.counts: Counter[str] = Counter()
        self.signals: deque[dict[str, Any]] = deque(maxlen=50)
        self.newest: dict[str, list[str]] = {}  # user -> slate; at most users of a demo
        self.shown = Shown()
        self.clicks: dict[str, str] = {}  # event id of a click -> item; what caused a slate
        self._freshness: deque[int] = deque(maxlen=KEPT)
        self._settings = settings
        self._ended = threading.Event()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._ended.set()
        self._thread.join(5.0)

    def freshness(self, percent: float) -> float | None:
        """A percentile of the milliseconds from a click in the log to its user's new slate; None before the first."""
        held = list(self._freshness)
        return float(np.percentile(held, percent)) if held else None

    def _run(self) -> None:
        consumer = KafkaConsumer(**client_args(self._settings), group_id=None, enable_auto_commit=False)
        try:
            self._place(consumer)
            self.ready.set()
            while not self._ended.is_set():
                for place, records in consumer.poll(timeout_ms=100).items():
                    topic = place.topic.partition(".")[2]
                    self.counts[topic] += len(records)
                    for record in records:
                        self._take(topic, record.value)
        finally:
            consumer.close()

    def _place(self, consumer: Any) -> None:
        places = []
        for topic in TOPICS:
            name = topic_name(self._settings.namespace, topic)
            while not (numbers := consumer.partitions_for_topic(name)) and not self._ended.is_set():
                self._ended.wait(0.1)
            places += [TopicPartition(name, number) for number in sorted(numbers or ())]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)

    def _take(self, topic: str, value: bytes | None) -> None:
        plain = orjson.loads(value or b"{}")
        if topic == "drift-signals":
            self.signals.append(plain)
        if topic != "recommendations":
            return
        if plain.get("freshness_ms") is not None:
            self._freshness.append(plain["freshness_ms"])
        user, items = plain["user_id"], [item["item_id"] for item in plain["items"]]
        if len(self.newest) < KEPT:
            self.newest[user] = items
        if user == self.shown.user_id:
            before = self.shown.after or items
            clicked = self.clicks.get(plain["caused_by"], "")
            self.shown = Shown(user, before, items, clicked, plain.get("freshness_ms"))
        elif not self.shown.user_id:
            self.shown = Shown(user, [], items)
