"""Impressions and clicks as in real life: repeated, late, out of order, some broken; and what must come out."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Self

import confluent_kafka
import orjson

from tests.end_to_end.harness import HISTORY, Event, Recount

USERS, ITEMS = 300, 1_000
BROKEN = (
    b"{",
    b'{"v":1,"type":"click"}',
    b'{"v":9,"type":"click","event_id":"x","user_id":"u1","ts":1}',
    b"\xff",
)


@dataclass
class ChaosRecount(Recount):
    """The recount, where an event may come twice and late: each id counts once, a history is in order of time."""

    _told: set[str] = field(default_factory=set)
    _recent: defaultdict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    def _add(self, event: Event) -> None:
        if event["event_id"] in self._told:
            return
        self._told.add(event["event_id"])
        super()._add(event)
        action = event.get("action", event["type"])
        if action != "impression" and self.settings.actions.get(action, 0.0) > 0.0:
            self._remember(event["user_id"], event["ts"] // 1_000, event["item_id"])

    def _remember(self, user: str, second: int, item: str) -> None:
        recent = self._recent[user]
        at = len(recent)
        while at and recent[at - 1][0] > second:
            at -= 1
        recent.insert(at, (second, item))
        del recent[:-HISTORY]
        self.histories[user] = [name for _, name in recent]


class Load:
    """A producer in a thread of its own; ``sent`` is what it wrote, in order of each user.

    Args:
        topic: full name of the events topic.
        per_second: events.
    """

    def __init__(self, bootstrap: str, topic: str, per_second: int, seed: int) -> None:
        self.sent: list[dict[str, Any]] = []
        self.broken: set[str] = set()  # ids their dead letters must have
        self.delivered: Counter[int] = Counter()  # partition -> first position after what is acknowledged
        self.acted: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(
            dict
        )  # user -> item -> its place
        self.repeats = self.late = 0
        self.shown: deque[tuple[str, str, list[str]]] = deque(maxlen=100)  # slates to be looked at
        self._topic, self._rate, self._random = topic, per_second, random.Random(seed)
        self._failed: list[Any] = []
        self._before: defaultdict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=6))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._producer = confluent_kafka.Producer(
            {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True,
             "linger.ms": 5, "message.timeout.ms": 280_000, "log_level": 0}
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert self._producer.flush(120) == 0
        assert not self._failed, self._failed[:3]

    # ------------------------------------------------------------------ what is sent

    def _run(self) -> None:
        began, n = time.monotonic(), 0
        while not self._stop.is_set():
            self._one()
            self._producer.poll(0)
            n += 1
            ahead = n / self._rate - (time.monotonic() - began)
            if ahead > 0.01:
                self._stop.wait(ahead)

    def _one(self) -> None:
        chance = self._random.random()
        if chance < 0.005:
            self._produce(self._user(), self._random.choice(BROKEN), self._note_broken)
        elif chance < 0.03:
            self._repeat(self._user())
        elif self.shown and chance < 0.3:
            self._look(*self.shown.popleft())
        elif chance < 0.5:
            items = self._random.sample(range(ITEMS), 3)
            self._send(self._user(), "impression", items=_slots([f"i{k}" for k in items]))
        else:
            kind: dict[str, Any] = {"item_id": f"i{self._random.randrange(ITEMS)}"}
            if chance > 0.95:
                self._send(self._user(), "action", action="like", **kind)
            else:
                self._send(self._user(), "click", **kind)

    def _look(self, user: str, request_id: str, items: list[str]) -> None:
        self._send(user, "impression", items=_slots(items), request_id=request_id)
        if self._random.random() < 0.4:
            self._send(user, "click", item_id=self._random.choice(items), request_id=request_id)

    def _repeat(self, user: str) -> None:
        """As a producer does that did not hear the answer, or a client that was away."""
        if self._before[user]:
            self.repeats += 1
            self._write(self._random.choice(self._before[user]))

    def _user(self) -> str:
        return some_user(self._random)

    def _when(self) -> int:
        now, chance = time.time_ns() // 1_000_000, self._random.random()
        if chance > 0.07:
            return now
        self.late += 1
        return now - self._random.randrange(3_000 if chance > 0.02 else 1_800_000)

    def _send(self, user: str, type_: str, **more: Any) -> None:
        event = {
            "v": 1,
            "type": type_,
            "event_id": f"c{len(self.sent)}",
            "user_id": user,
            "ts": self._when(),
            **more,
        }
        self._before[user].append(event)
        self._write(event)

    def _write(self, event: dict[str, Any]) -> None:
        self.sent.append(event)
        noted = self._note(event["user_id"], event.get("item_id"))
        self._produce(event["user_id"], orjson.dumps(event), noted)

    def _produce(self, user: str, value: bytes, noted: Any) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, user, on_delivery=noted)
                return
            except BufferError:
                self._producer.poll(0.2)

    # ------------------------------------------------------------------ where it came to lie

    def _note(self, user: str, item: str | None) -> Any:
        def noted(error: Any, message: Any) -> None:
            if self._acknowledged(error, message) and item is not None:
                place = (message.partition(), message.offset())
                self.acted[user].setdefault(item, place)

        return noted

    def _note_broken(self, error: Any, message: Any) -> None:
        if self._acknowledged(error, message):
            self.broken.add(f"{self._topic}-{message.partition()}-{message.offset()}")

    def _acknowledged(self, error: Any, message: Any) -> bool:
        if error is not None:
            self._failed.append(error)
            return False
        self.delivered[message.partition()] = message.offset() + 1
        return True


def some_user(chance: random.Random) -> str:
    """A few users come ten times as often as most."""
    return f"u{int(chance.random() ** 2 * USERS)}"


def _slots(items: list[str]) -> list[dict[str, Any]]:
    return [{"item_id": item, "position": k} for k, item in enumerate(items)]
