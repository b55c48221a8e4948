"""The console hears the log from its end, only while somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiokafka
import orjson
import pytest
from prometheus_client import CollectorRegistry

from online_models.errors import StoreUnavailable
from serving.api_metrics import ApiMetrics
from streams import live
from streams.broadcast import BroadcastReader
from streams.embedded import EmbeddedKafka
from streams.live import LiveFeed


class _Store:
    """Positions of two partitions."""

    def __init__(self) -> None:
        self.away = False

    def prefix(self, partition: int) -> str:
        return f"n:{{{partition}}}:"

    async def read(self, commands: Any) -> list[bytes | None]:
        if self.away:
            raise StoreUnavailable("away")
        return [b"3", None]


@pytest.fixture
async def kafka() -> AsyncIterator[str]:
    with EmbeddedKafka() as broker:
        broker.ensure("n")
        yield broker.bootstrap


@pytest.fixture
async def feed(kafka: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveFeed]:
    monkeypatch.setattr(live, "TICK_S", 0.02)
    monkeypatch.setattr(live, "LINGER_S", 0.1)
    metrics = ApiMetrics(CollectorRegistry())
    made = LiveFeed("n", {"bootstrap_servers": kafka}, _Store(), 2, metrics)  # type: ignore[arg-type]
    yield made
    await made.close()


async def _produce(kafka: str, topic: str, *values: Any) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for value in values:
        await producer.send_and_wait(topic, orjson.dumps(value), partition=0)
    await producer.stop()


async def test_nothing_is_read_before_anybody_watches_nor_after_the_last_has_gone(feed: LiveFeed) -> None:
    assert not feed.listening
    ticks = feed.ticks()
    await anext(ticks)
    await anext(ticks)
    assert feed.listening
    await ticks.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        await feed._task  # type: ignore[misc]
    assert not feed.listening


async def test_one_who_comes_after_all_had_gone_is_told_again(feed: LiveFeed) -> None:
    for _ in range(2):
        ticks = feed.ticks()
        first, second = [await anext(ticks) for _ in range(2)]
        assert first["history"] == []
        assert "events_per_s" in second
        await ticks.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            await feed._task  # type: ignore[misc]


async def test_a_signal_told_before_is_shown_and_one_told_now_too(feed: LiveFeed, kafka: str) -> None:
    await _produce(kafka, "n.drift-signals", {"id": "a", "name": "click_rate:home"})
    seen: set[str] = set()
    async with asyncio.timeout(20):
        async for tick in feed.ticks():
            seen |= {signal["id"] for signal in tick.get("signals", ())}
            if seen == {"a"}:
                await _produce(kafka, "n.drift-signals", {"id": "b", "name": "log_loss:home"})
            if seen == {"a", "b"}:
                break


async def test_lag_is_told_where_the_end_is_known_and_not_at_all_without_redis(feed: LiveFeed) -> None:
    assert await feed.partitions() == [
        {"partition": 0, "position": 3, "lag": None},
        {"partition": 1, "position": 0, "lag": None},
    ]
    feed._store.away = True  # type: ignore[attr-defined]
    assert await feed.partitions() == []


async def test_a_reader_from_the_end_begins_so_many_records_before_it(kafka: str) -> None:
    await _produce(kafka, "n.dead-letters", *range(10))
    heard: list[int] = []

    async def hear(records: Any) -> None:
        heard.extend(orjson.loads(record.value) for record in records)

    reader = BroadcastReader("n.dead-letters", {"bootstrap_servers": kafka}, hear, from_end=3)
    task = asyncio.create_task(reader.run())
    async with asyncio.timeout(20):
        await reader.caught_up.wait()
    task.cancel()
    assert heard == [7, 8, 9]
