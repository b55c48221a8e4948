"""Faust's transport as freshet needs it: a whole fetch of one partition is one message, and its place is never lost.

Chosen by the broker URL ``freshet://host:port`` (entry point ``faust.transports``). How an application uses it::

    hooks = Hooks()
    app = make_app("shop-fold", "127.0.0.1:9092", hooks=hooks)       # streams/faust_app.py
    store = Store("redis://127.0.0.1:6379/0", "shop")
    positions = Positions(store, app, "shop.events")                   # sets hooks.position_for and on_revoked

    @app.agent(batches(app, "shop.events"))
    async def fold(stream):
        async for batch in stream:                                     # Batch: topic, partition, records, ...
            held = positions.admit(batch)                              # None: stale, or a gap (a seek is asked for)
            if held is None:
                continue
            writes = [("HINCRBY", store.prefix(batch.partition) + "n", r.key, 1) for r in batch.records]
            await positions.commit(held, writes, batch.next_position)  # False: fenced, or the position moved

    asyncio.run(run(app))                                              # until SIGTERM; no port is bound

A batch is done when the agent asks for the next one (``concurrency=1``); only then is its partition fetched again, so
batches are small when idle and large when behind; a process that barely keeps up lets records gather for a few
milliseconds at the broker. Each partition waits for itself alone. A batch whose agent raised is
given again (Faust restarts the agent), again and again: an agent catches what a single record can do to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import faust
from faust.serializers.schemas import Schema
from faust.transport.drivers.aiokafka import Transport as AIOKafkaTransport

from streams.transport_batch import BEGINNING, UNKNOWN, Batch, Hooks, LostRange, Options, Record
from streams.transport_consumer import Consumer

__all__ = [
    "BEGINNING",
    "UNKNOWN",
    "Batch",
    "Consumer",
    "Hooks",
    "LostRange",
    "Options",
    "Record",
    "Transport",
    "batches",
    "on_batches",
    "seek",
]


class Transport(AIOKafkaTransport):  # type: ignore[misc]
    """aiokafka's, with our consumer."""

    Consumer = Consumer


class _AsIs(Schema):  # type: ignore[misc]
    """The value is a `Batch` already."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> None:
        return None

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Batch:
        return cast(Batch, message.value)


def batches(app: faust.App, topic: str) -> Any:
    """The topic as a channel of `Batch`, for ``@app.agent``."""
    return app.topic(topic, schema=_AsIs())


def on_batches(
    app: faust.App,
    topic: str,
    handle: Callable[[Batch], Awaitable[object]],
    *,
    name: str,
    concurrency: int = 1,
) -> None:
    """An agent that awaits ``handle`` for each batch of a topic.

    Args:
        concurrency: batches under way at once, each of another partition: one is folded while others are committed.
    """

    async def read(stream: Any) -> None:
        async for batch in stream:
            await handle(batch)

    app.agent(batches(app, topic), name=name, concurrency=concurrency)(read)


def seek(app: faust.App, topic: str, partition: int, position: int | None) -> None:
    """Read a partition on from ``position``; None to ask the hook ``position_for`` again."""
    app.consumer.request_seek(topic, partition, position)
