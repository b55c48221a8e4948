"""A deployment of real parts: Kafka, Redis, worker processes; and the plain recount its counters must equal."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka
import orjson
import redis
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from online_models import history
from online_models.history import UserRecord
from streams import settings as freshet_settings
from streams import topics
from streams.children import Child
from streams.partitioner import partition_of
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
DAY_MS = 86_400_000
HISTORY = 50
Event = Mapping[str, Any]


def until(holds: Callable[[], bool], timeout_s: float, what: Callable[[], str]) -> None:
    """Return once ``holds()``; AssertionError when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what()}"
        time.sleep(0.05)


# ---------------------------------------------------------------------- what must come out


@dataclass
class Recount:
    """A plain recount of events, by the definitions of docs/events.md and nothing of freshet's code."""

    settings: Settings
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # action, item
    surfaces: Counter[tuple[str, str]] = field(default_factory=Counter)  # surface, action
    decayed: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    trend: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    users: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    histories: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    acted: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    last: dict[str, str] = field(default_factory=dict)  # user -> event id of the last action, liked or not
    over_cap: int = 0
    _days: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, events: Iterable[Event]) -> Recount:
        """Count some more."""
        for event in events:
            self._add(event)
        return self

    def _add(self, event: Event) -> None:
        user, ts, surface = event["user_id"], event["ts"], event.get("surface", "default")
        action = event.get("action", event["type"])
        items = [slot["item_id"] for slot in event["items"]] if "items" in event else [event["item_id"]]
        self.users[user][action] += len(items)
        if self._shared(user, ts):
            for item in items:
                self._count(item, action, surface, ts)
        if action == "impression":
            return
        self.acted[user].update(items)
        self.last[user] = event["event_id"]
        if self.settings.actions.get(action, 0.0) > 0.0:
            self.histories[user] += items

    def _shared(self, user: str, ts: int) -> bool:
        day, spent = self._days.get(user, (0, 0))
        today = ts // DAY_MS
        day, spent = (today, 1) if today > day else (day, spent + 1)
        self._days[user] = day, spent
        self.over_cap += spent > self.settings.events_per_user_day
        return spent <= self.settings.events_per_user_day

    def _count(self, item: str, action: str, surface: str, ts: int) -> None:
        self.counts[action, item] += 1
        self.surfaces[surface, action] += 1
        weight = 2.0 ** ((ts - self._landmark(ts)) / self.settings.half_life_ms)
        name = f"{action}:{self._landmark(ts)}"
        self.decayed[name, item] += weight
        strength = self.settings.actions.get(action, 0.0)
        if strength > 0.0:
            self.trend[f"{surface}:{self._landmark(ts)}", item] += weight * strength

    def _landmark(self, ts: int) -> int:
        width = 256 * self.settings.half_life_ms
        return ts // width * width


# ---------------------------------------------------------------------- a deployment


class Deployment:
    """A namespace on a real broker and a real Redis, with any number of workers.

    Args:
        given: settings that differ from the test's defaults.
    """

    def __init__(
        self, kafka: str, redis_url: str, namespace: str, folder: Path, given: Mapping[str, Any] | None = None
    ) -> None:
        ours: dict[str, Any] = {
            "kafka": kafka,
            "redis_url": redis_url,
            "namespace": namespace,
            "partitions": PARTITIONS,
            "snapshot_dir": str(folder / "snapshots"),
            "session_timeout_ms": 6_000,
            "log_format": "text",
            # two cores run brokers, workers and tests: a worker that waits for a core has not stalled
            "watchdog_s": 120.0,
            # no slate is skipped: every user who acts gets one
            "slate_wait_s": 600.0,
        }
        self.settings = freshet_settings.load(**{**ours, **(given or {})})
        self.workers: list[Child] = []
        self._folder = folder
        self.redis = redis.Redis.from_url(redis_url, protocol=2, socket_timeout=10)
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": kafka,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                # a record that is too large compresses well, and so gets past the broker
                "compression.type": "gzip",
                "message.max.bytes": 4 << 20,
            }
        )
        self._failed: list[Any] = []
        topics.ensure(kafka, namespace, PARTITIONS)

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return topics.topic_name(self.settings.namespace, name)

    # ------------------------------------------------------------------ workers

    def worker(self, env: Mapping[str, str] | None = None, **given: Any) -> Child:
        """Start one more worker; ``env`` are further variables of its process."""
        plain = {name: getattr(self.settings, name) for name in Settings.model_fields}
        settings = freshet_settings.as_environment(freshet_settings.load(**{**plain, **given}))
        child = Child(
            [sys.executable, "-m", "streams", "worker"],
            log=self._folder / f"worker-{len(self.workers)}.log",
            env={**settings, **(env or {})},
            cwd=ROOT,
        )
        child.start()
        self.workers.append(child)
        return child

    def epochs(self) -> list[int]:
        """How often each partition was claimed."""
        return [int(self._of(p, "epoch") or 0) for p in range(PARTITIONS)]

    def wait_for_claims(self, before: Sequence[int], timeout_s: float = 90.0) -> None:
        """Until every partition was claimed again since ``before``."""
        until(
            lambda: all(now > was for now, was in zip(self.epochs(), before, strict=True)),
            timeout_s,
            lambda: f"new claims after {before}; now {self.epochs()}\n{self.logs()}",
        )

    def two_workers(self) -> None:
        """Two that share the partitions."""
        self.worker()
        self.wait_for_claims([0] * PARTITIONS)
        before = self.epochs()
        self.worker()
        self.wait_for_claims(before)

    def logs(self, lines: int = 15) -> str:
        """The last words of every worker."""
        return "\n".join(f"--- worker {n}\n{w.tail(lines)}" for n, w in enumerate(self.workers))

    # ------------------------------------------------------------------ in

    def send(self, events: Iterable[Event]) -> None:
        """Produce events as other clients do, and wait until they are acknowledged."""
        for event in events:
            self.raw("events", event["user_id"], orjson.dumps(event))
        self.flush()

    def raw(self, topic: str, key: str, value: bytes | None) -> None:
        """Produce one record."""
        while True:
            try:
                self._producer.produce(self.topic(topic), value, key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.2)

    def flush(self) -> None:
        """Wait until all is acknowledged."""
        left = self._producer.flush(120)
        assert not left and not self._failed, (left, self._failed[:3])

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed.append(error)

    # ------------------------------------------------------------------ out

    def positions(self) -> list[int]:
        """How far each partition is folded in."""
        return [int(self._of(p, "next") or 0) for p in range(PARTITIONS)]

    def ends(self) -> list[int]:
        """Where the log of each partition ends."""
        consumer = self._consumer()
        places = [TopicPartition(self.topic("events"), p) for p in range(PARTITIONS)]
        ends = consumer.end_offsets(places)
        consumer.close()
        return [ends[place] for place in places]

    def owing(self) -> int:
        """How many users are owed a slate."""
        return sum(self.redis.zcard(self._key(p, "dirty")) for p in range(PARTITIONS))

    def wait_for_folded(self, records: int, timeout_s: float = 90.0) -> None:
        """Until so many records of the log are folded in."""
        until(
            lambda: sum(self.positions()) >= records,
            timeout_s,
            lambda: f"{records} records folded in; at {self.positions()}\n{self.logs()}",
        )

    def settle(self, timeout_s: float = 240.0) -> None:
        """Until every event in the log is folded in and nobody is owed a slate."""
        consumer = self._consumer()
        places = [TopicPartition(self.topic("events"), p) for p in range(PARTITIONS)]

        def settled() -> bool:
            try:
                ends = consumer.end_offsets(places)
            except KafkaError:  # a broker that comes back is slow at first
                return False
            return self.positions() == [ends[place] for place in places] and not self.owing()

        until(
            settled,
            timeout_s,
            lambda: f"folded {self.positions()} of {self.ends()}, owing {self.owing()}\n{self.logs()}",
        )
        consumer.close()

    def read(self, topic: str) -> list[Any]:
        """All records of a topic, in order of each partition."""
        consumer = self._consumer()
        name = self.topic(topic)
        until(lambda: bool(consumer.partitions_for_topic(name)), 20, lambda: f"{name} exists")
        places = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name))]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends, records = consumer.end_offsets(places), []
        while any(consumer.position(place) < ends[place] for place in places):
            for found in consumer.poll(timeout_ms=500).values():
                records += found
        consumer.close()
        return records

    def slates(self) -> list[dict[str, Any]]:
        """All of ``recommendations``."""
        return [orjson.loads(record.value) for record in self.read("recommendations")]

    def slate_of(self, user: str, caused_by: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The slate that one event of a user caused."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [s for s in self.slates() if s["user_id"] == user and s["caused_by"] == caused_by]
            return bool(found)

        until(there, timeout_s, lambda: f"a slate of {user!r} caused by {caused_by}\n{self.logs()}")
        return found[-1]

    def _consumer(self) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.settings.kafka, group_id=None, enable_auto_commit=False,
            max_partition_fetch_bytes=16 << 20, fetch_max_bytes=64 << 20,
        )  # fmt: skip

    def _key(self, partition: int, name: str) -> str:
        return f"{self.settings.namespace}:{{{partition}}}:{name}"

    def _of(self, partition: int, name: str) -> Any:
        return self.redis.get(self._key(partition, name))

    # ------------------------------------------------------------------ what came out

    def names(self) -> dict[int, str]:
        """Items by interned id."""
        found = self.redis.hgetall(f"{self.settings.namespace}:items")
        return {int(number): name.decode() for name, number in found.items()}

    def hashes(self, kind: str) -> dict[tuple[str, str], float]:
        """All of the hashes ``n``, ``d`` or ``s``, summed over partitions: (name, field) -> value."""
        total: defaultdict[tuple[str, str], float] = defaultdict(float)
        for partition in range(PARTITIONS):
            prefix = self._key(partition, f"{kind}:")
            for key in self.redis.scan_iter(_literally(prefix) + "*", count=10_000):
                name = key.decode().removeprefix(prefix)
                for of, value in self.redis.hgetall(key).items():
                    total[name, of.decode()] += float(value)
        return total

    def trend(self) -> dict[tuple[str, str], float]:
        """All of ``trend``, summed over partitions: (name, item number) -> value."""
        total: defaultdict[tuple[str, str], float] = defaultdict(float)
        for partition in range(PARTITIONS):
            prefix = self._key(partition, "trend:")
            for key in self.redis.scan_iter(_literally(prefix) + "*", count=10_000):
                name = key.decode().removeprefix(prefix)
                for of, value in self.redis.zrange(key, 0, -1, withscores=True):
                    total[name, of.decode()] += value
        return total

    def records(self, users: Iterable[str]) -> dict[str, UserRecord]:
        """The record of each user that has one."""
        users = list(users)
        keys = [self._key(partition_of(user, PARTITIONS), f"u:{user}") for user in users]
        found = self.redis.mget(keys) if keys else []
        return {user: history.decode(raw) for user, raw in zip(users, found, strict=True) if raw}

    def check(self, want: Recount) -> None:
        """Every counter equals the recount: integers exactly, decayed ones to 1e-9; every history, too."""
        names = self.names()

        def named(found: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
            return {(name, names[int(item)]): value for (name, item), value in found.items()}

        _equal("n", named(self.hashes("n")), want.counts)
        _equal("s", self.hashes("s"), want.surfaces)
        _close("d", named(self.hashes("d")), want.decayed)
        _close("trend", named(self.trend()), want.trend)
        records = self.records(want.users)
        counts = {(u, action): n for u, record in records.items() for action, n in record.counts.items()}
        _equal("u", counts, {(u, action): n for u, row in want.users.items() for action, n in row.items()})
        told = {u: [names[i] for i in record.recent_items] for u, record in records.items()}
        wrong = [u for u in want.histories if told.get(u) != want.histories[u][-HISTORY:]]
        assert not wrong, f"{len(wrong)} histories differ, as {wrong[0]}: {told.get(wrong[0])}"

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.kill()
        self.redis.close()


def _literally(prefix: str) -> str:
    return prefix.replace("[", "\\[").replace("*", "\\*")


def _equal(kind: str, found: Mapping[Any, float], want: Mapping[Any, float]) -> None:
    wrong = {
        k: (want.get(k, 0), found.get(k, 0))
        for k in want.keys() | found.keys()
        if want.get(k, 0) != found.get(k, 0)
    }
    assert not wrong, (
        f"{len(wrong)} of {len(want)} {kind} counters differ (wanted, found): {sorted(wrong.items())[:5]}"
    )


def _close(kind: str, found: Mapping[Any, float], want: Mapping[Any, float]) -> None:
    assert found.keys() == want.keys(), f"{kind}: {sorted(found.keys() ^ want.keys())[:5]}"
    wrong = {k: (want[k], found[k]) for k in want if abs(found[k] - want[k]) > 1e-9 * abs(want[k])}
    assert not wrong, (
        f"{len(wrong)} of {len(want)} {kind} sums differ (wanted, found): {sorted(wrong.items())[:5]}"
    )
