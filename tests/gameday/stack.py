"""A running deployment to be hurt: a real broker, a real Redis, a worker, an API, and what can be seen of them."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import orjson
from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from streams import settings as freshet_settings
from streams.children import LOOPBACK, Child, free_port
from streams.clock import wall_ms
from tests.end_to_end.harness import PARTITIONS, ROOT, Deployment, until
from tests.kafka.broker import KafkaBroker
from tests.support.redis_server import RedisServer

ITEMS = 300


class Stack:
    """Broker, Redis, worker and API; ended with its block.

    Args:
        folder: for logs and snapshots.
        broker, redis: to be hurt; of its own where not given.
    """

    def __init__(
        self, folder: Path, namespace: str = "gameday", *, broker: KafkaBroker | None = None,
        redis: RedisServer | None = None,
    ) -> None:  # fmt: skip
        self._ended = ExitStack()
        self._folder = folder
        self.broker = broker or self._ended.enter_context(KafkaBroker())
        self.redis = redis or self._ended.enter_context(RedisServer())
        self.metrics_port, self.http_port = free_port(), free_port()
        given = {
            "metrics_port": self.metrics_port, "http_port": self.http_port, "attribution_window_ms": 1_000,
            "idle_timeout_ms": 500, "slate_wait_s": 0.5, "snapshot_interval_s": 5.0,
        }  # fmt: skip
        self.running = Deployment(self.broker.bootstrap, self.redis.url, namespace, folder, given)
        self._ended.callback(self.running.close)
        self.settings = self.running.settings
        self.base = f"http://{LOOPBACK}:{self.http_port}"

    def __enter__(self) -> Self:
        for k in range(ITEMS):
            item = {"v": 1, "item_id": f"i{k}", "ts": 1, "title": f"Item {k}", "tags": [f"t{k % 20}"]}
            self.running.raw("catalog", f"i{k}", orjson.dumps(item))
        self.running.flush()
        self.running.worker()
        self.api = self.process([sys.executable, "-m", "streams", "serve"], "api", self.http_port)
        self.running.wait_for_claims([0] * PARTITIONS)
        until(lambda: self.worker("freshet_items") == ITEMS, 60, self.running.logs)
        self._signals = self._consumer("drift-signals")
        self._told: list[dict[str, Any]] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    # ------------------------------------------------------------------ what is done to it

    def process(self, words: Sequence[str], name: str, port: int) -> Child:
        """Start a process that serves HTTP, with the deployment's settings, and wait until it is ready."""
        settings = self.settings.model_copy(update={"http_port": port})
        child = Child(
            list(words), log=self._folder / f"{name}.log",
            env=freshet_settings.as_environment(settings), cwd=ROOT,
        )  # fmt: skip
        child.start()
        self._ended.callback(child.kill)
        url = f"http://{LOOPBACK}:{port}"
        child.wait_ready(lambda: _status(f"{url}/readyz") == 200, timeout_s=60, what=name)
        return child

    def send(self, *events: Mapping[str, Any]) -> None:
        """Events, acknowledged."""
        self.running.send({"v": 1, "event_id": f"e{next(_NUMBERS)}", **event} for event in events)

    def click(self, user: str, item: int) -> None:
        """One click now."""
        self.send({"type": "click", "user_id": user, "ts": wall_ms(), "item_id": f"i{item}"})

    def ask(self, user: str, base: str = "", timeout_s: float = 10.0) -> int:
        """Ask for a slate; the status, 0 without an answer."""
        return _status(f"{base or self.base}/v1/recommendations/{user}?n=10", timeout_s)

    def settle(self) -> None:
        """Until all is folded in, so that one failure does not reach into the next."""
        self.running.settle(120.0)

    # ------------------------------------------------------------------ what is seen of it

    def worker(self, name: str, **labels: str) -> float | None:
        """A metric of the worker, summed over what has these labels; None where it is not exported."""
        return metric(self.metrics_port, name, labels)

    def served(self, name: str, port: int = 0, **labels: str) -> float | None:
        """A metric of the API."""
        return metric(port or self.http_port, name, labels)

    def signal(self, prefix: str) -> bool:
        """Whether a drift signal of that name has come since the stack was started."""
        for records in self._signals.poll(timeout_ms=50).values():
            self._told += [orjson.loads(record.value) for record in records]
        return any(one["name"].startswith(prefix) for one in self._told)

    def letters(self, field: str) -> int:
        """Dead letters in which this field is at fault."""
        return sum(
            orjson.loads(record.value)["field"] == field for record in self.running.read("dead-letters")
        )

    def _consumer(self, topic: str) -> KafkaConsumer:
        consumer = KafkaConsumer(
            bootstrap_servers=self.broker.bootstrap, group_id=None, enable_auto_commit=False
        )
        name = self.running.topic(topic)
        until(lambda: bool(consumer.partitions_for_topic(name)), 20, lambda: f"{name} exists")
        places = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name))]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        self._ended.callback(consumer.close)
        return consumer


_HTTP = httpx.Client()
_NUMBERS = iter(range(1, 1 << 60))


def _status(url: str, timeout_s: float = 2.0) -> int:
    try:
        return _HTTP.get(url, timeout=timeout_s).status_code
    except httpx.HTTPError:
        return 0


def metric(port: int, name: str, labels: Mapping[str, str]) -> float | None:
    """A metric, summed over what has these labels; None where it is not exported."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=2.0) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None
