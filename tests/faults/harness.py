"""Workers that are stopped, killed and cut off while events flow, and the recount that must come out equal."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from streams.children import Child
from streams.partitioner import partition_of
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
SESSION_S = 6.0
FOLD_S = 0.02


def until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return once ``holds()``; AssertionError when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


class Flow:
    """A producer that writes ``total`` events of random keys at a rate, in a thread of its own, and counts them."""

    def __init__(self, bootstrap: str, topic: str, total: int, per_second: int, seed: int = 7) -> None:
        self.sent: Counter[str] = Counter()
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self._topic, self._total, self._rate, self._random = topic, total, per_second, random.Random(seed)
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def done(self) -> bool:
        """Whether all is written and acknowledged."""
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(120)
        self._producer.close()
        assert not self._failed, self._failed

    def _run(self) -> None:
        began = time.monotonic()
        for n in range(self._total):
            user = f"u{int(self._random.paretovariate(0.7)) % 2_000}"
            self._producer.send(
                self._topic, key=user.encode(), value=b"x" * 40, partition=partition_of(user, PARTITIONS)
            ).add_errback(self._failed.append)
            self.sent[user] += 1
            ahead = n / self._rate - (time.monotonic() - began)
            if ahead > 0.01:
                time.sleep(ahead)
        self._producer.flush()


class Cluster:
    """Counting workers of one namespace on one topic."""

    def __init__(self, bootstrap: str, redis: RedisServer, namespace: str, tmp_path: Path) -> None:
        self.bootstrap, self.redis, self.namespace = bootstrap, redis, namespace
        self.topic = f"{namespace}.events"
        self._logs = tmp_path
        self._client = redis.client()
        self.workers: list[Child] = []
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        admin.create_topics(
            {self.topic: {"num_partitions": PARTITIONS, "replication_factor": 1}}, wait_for_metadata=True
        )
        admin.close()

    def worker(self, redis_url: str | None = None) -> Child:
        """Start one more worker."""
        argv = [
            self.bootstrap,
            redis_url or self.redis.url,
            self.namespace,
            f"{self.namespace}-fold",
            self.topic,
        ]
        log = self._logs / f"worker-{len(self.workers)}.log"
        child = Child(
            [sys.executable, "-m", "tests.faults.counting_worker", *argv, str(SESSION_S), str(FOLD_S)],
            log=log,
            cwd=ROOT,
        )
        child.start()
        self.workers.append(child)
        return child

    def flow(self, total: int, per_second: int) -> Flow:
        """Events that are written while the test goes on."""
        return Flow(self.bootstrap, self.topic, total, per_second)

    def epochs(self) -> list[int]:
        """How often each partition was claimed."""
        found = self._client.mget([f"{self.namespace}:{{{p}}}:epoch" for p in range(PARTITIONS)])
        return [int(epoch or 0) for epoch in found]

    def counts(self) -> Counter[str]:
        """What the workers have counted."""
        total: Counter[str] = Counter()
        for p in range(PARTITIONS):
            total.update(
                {k: int(n) for k, n in self._client.hgetall(f"{self.namespace}:{{{p}}}:counts").items()}
            )
        return total

    def counted(self) -> int:
        """How many events are counted."""
        return sum(self.counts().values())

    def wait_for_claims(self, before: list[int], timeout_s: float = 30.0) -> None:
        """Until every partition was claimed again since ``before``."""
        until(
            lambda: all(now > was for now, was in zip(self.epochs(), before, strict=True)),
            timeout_s,
            f"new claims after {before}; now {self.epochs()}\n{self.logs()}",
        )

    def wait_for_more(self, events: int, timeout_s: float = 40.0) -> None:
        """Until ``events`` more are counted than now."""
        goal = self.counted() + events
        until(
            lambda: self.counted() >= goal,
            timeout_s,
            f"{goal} events counted, only {self.counted()}\n{self.logs()}",
        )

    def settle(self, sent: Counter[str], timeout_s: float = 40.0) -> None:
        """Until nothing is missing and all workers have ended; then every counter must equal the recount."""
        total = sum(sent.values())
        deadline = time.monotonic() + timeout_s
        while self.counted() < total and time.monotonic() < deadline:
            time.sleep(0.05)
        for worker in self.workers:
            worker.stop()
        counted = self.counts()
        wrong = {key: (sent[key], counted[key]) for key in sent | counted if sent[key] != counted[key]}
        assert not wrong, (
            f"{len(wrong)} counters differ (sent, counted): {sorted(wrong.items())[:5]}\n{self.logs()}"
        )

    def logs(self) -> str:
        """The last words of every worker."""
        return "\n".join(f"--- worker {n}\n{worker.tail(12)}" for n, worker in enumerate(self.workers))

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.kill()
        self._client.close()
