"""A whole deployment on this machine for one benchmark: a real broker, a real Redis, workers, an API replica."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.traffic import Sent
from streams import settings as freshet_settings
from streams import topics
from streams.children import LOOPBACK, Child, free_port
from streams.partitioner import partition_of
from tests.kafka.broker import KafkaBroker
from tests.support.redis_server import RedisServer

START_TIMEOUT_S = 90.0
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def servers() -> Iterator[tuple[KafkaBroker, RedisServer]]:
    """A broker and a Redis of our own."""
    with KafkaBroker(heap_mb=1_024) as broker, RedisServer() as redis:
        yield broker, redis


class Deployment:
    """One namespace with its settings and processes; ends with its ``with`` block.

    Args:
        given: settings other than the defaults.
    """

    def __init__(self, broker: KafkaBroker, redis: RedisServer, name: str, **given: Any) -> None:
        self.broker, self.redis = broker, redis
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="freshet-bench-")))
        self.given = given
        self.settings = freshet_settings.load(
            kafka=broker.bootstrap,
            redis_url=redis.url,
            namespace=name,
            snapshot_dir=str(self.folder / "snapshots"),
            http_port=free_port(),
            log_format="text",
            **given,
        )
        topics.ensure(broker.bootstrap, name, self.settings.partitions)
        self.client = redis.client()

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        self.client.close()

    # ------------------------------------------------------------------ processes

    def worker(self) -> Process:
        """Start a worker; returns at once."""
        port = free_port()
        return Process(self._child("worker", metrics_port=port), f"http://{LOOPBACK}:{port}/metrics")

    def api(self) -> Process:
        """Start an API replica and wait until it is ready."""
        base = f"http://{LOOPBACK}:{self.settings.http_port}"
        process = Process(self._child("serve"), f"{base}/metrics")
        process.child.wait_ready(
            lambda: bool(get(f"{base}/readyz")), timeout_s=START_TIMEOUT_S, what="the API"
        )
        return process

    def python(self, module: str, *arguments: str) -> Process:
        """Start a module of the benchmarks."""
        name = module.rsplit(".", 1)[-1]
        argv = [sys.executable, "-m", module, *arguments]
        return Process(self._started(Child(argv, log=self.folder / f"{name}.log")), "")

    def _child(self, command: str, **more: Any) -> Child:
        settings = self.settings.model_copy(update=more)
        env = freshet_settings.as_environment(settings)
        log = self.folder / f"{command}-{more.get('metrics_port', '')}.log"
        return self._started(Child([sys.executable, "-m", "streams", command], log=log, env=env))

    def _started(self, child: Child) -> Child:
        child.start()
        self._stack.callback(child.stop)
        return child

    # ------------------------------------------------------------------ what goes in, and how far it is

    def produce(self, records: Iterable[Sent], topic: str = "events") -> int:
        """Preload records, each in its user's partition; returns how many."""
        name = f"{self.settings.namespace}.{topic}"
        producer = Producer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        count = 0
        for record in records:
            partition = partition_of(record.user_id, self.settings.partitions)
            producer.produce(name, record.value, record.user_id.encode(), partition)
            count += 1
            if count % 1_000 == 0:
                producer.poll(0)
        producer.flush(60)
        return count

    def folded(self) -> int:
        """How many records of ``events`` are committed."""
        keys = [f"{self.settings.namespace}:{{{p}}}:next" for p in range(self.settings.partitions)]
        return sum(int(value or 0) for value in self.client.mget(keys))

    def lag(self) -> int:
        """How many records of ``events`` are in the log and not committed yet."""
        topic = f"{self.settings.namespace}.events"
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "bench-lag"})
        try:
            ends = [
                consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10.0)[1]
                for p in range(self.settings.partitions)
            ]
        finally:
            consumer.close()
        return sum(ends) - self.folded()

    def wait_folded(self, wanted: int, *, timeout_s: float = 120.0, worker: Process | None = None) -> float:
        """Wait until so many are; the moment it was seen, by ``perf_counter``."""
        until = time.monotonic() + timeout_s
        while self.folded() < wanted:
            if time.monotonic() > until or (worker is not None and not worker.child.running):
                log = worker.child.tail() if worker is not None else ""
                raise TimeoutError(
                    f"{self.folded()} of {wanted} records were folded after {timeout_s:g} s\n{log}"
                )
            time.sleep(0.02)
        return time.perf_counter()


class Process:
    """A process of a deployment, with the CPU time it has used."""

    def __init__(self, child: Child, metrics_url: str) -> None:
        self.child, self.metrics_url = child, metrics_url

    def cpu_s(self) -> float:
        """User and system time of all its threads and of the processes it has started, s."""
        return sum(cpu_s(pid) for pid in (self.child.pid, *children(self.child.pid)))

    def resident_bytes(self) -> int:
        """Memory it holds."""
        return int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def metrics(self) -> Mapping[str, float]:
        """Its Prometheus samples, by name with labels."""
        lines = [line for line in get(self.metrics_url).splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def stop(self) -> None:
        """End it in good order."""
        self.child.stop()


def cpu_s(pid: int) -> float:
    """User and system time of a process, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """Processes that a process has started and that run."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]


def get(url: str) -> str:
    """What an HTTP address answers; empty when it does not."""
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
