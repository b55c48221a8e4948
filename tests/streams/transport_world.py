"""A small world for the transport's tests: topics, records, and applications that run inside the test's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from streams.faust_app import FreshetApp, make_app
from streams.transport import Batch, Hooks, Options, on_batches


def create(bootstrap: str, topic: str, partitions: int = 1, **configs: str) -> str:
    """Make a topic."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    spec = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    admin.create_topics({topic: spec}, wait_for_metadata=True)
    admin.close()
    return topic


def produce(bootstrap: str, topic: str, values: Iterable[bytes], partition: int = 0) -> None:
    """Write records and wait until they are in."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    for value in values:
        producer.send(topic, value=value, key=b"k", partition=partition)
    producer.flush()
    producer.close()


@asynccontextmanager
async def running(*apps: FreshetApp) -> AsyncIterator[None]:
    """Applications started for the length of the block."""
    for app in apps:
        app.finalize()
        await app.start()
    try:
        yield
    finally:
        for app in reversed(apps):
            await app.stop()


async def until(holds: Callable[[], Any], what: str, timeout_s: float = 20.0) -> None:
    """Return once ``holds()``."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.01)


class Reader:
    """An application with one agent that notes what it was given."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        group: str,
        *,
        hooks: Hooks | None = None,
        options: Options | None = None,
        work: Callable[[Batch], Awaitable[None]] | None = None,
        **conf: Any,
    ) -> None:
        self.batches: list[Batch] = []
        self.app = make_app(
            group, bootstrap, hooks=hooks, options=options, session_timeout_s=6, heartbeat_s=1, **conf
        )

        async def note(batch: Batch) -> None:
            self.batches.append(batch)
            if work is not None:
                await work(batch)

        on_batches(self.app, topic, note, name=f"{group}.read")

    def values(self, partition: int = 0) -> list[bytes | None]:
        """What was read of a partition, in order."""
        return [r.value for b in self.batches if b.partition == partition for r in b.records]

    async def read(self, count: int) -> None:
        """Until so many records are read."""
        await until(lambda: sum(len(b.records) for b in self.batches) >= count, f"{count} records read")
