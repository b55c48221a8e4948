"""The transport on librdkafka's mock broker, as ``freshet demo`` uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from online_models.store import Store
from streams import build
from streams import settings as freshet_settings
from streams.positions import Positions
from tests.streams.transport_world import Reader, running, until


@pytest.fixture
def mock() -> Iterator[tuple[str, Producer]]:
    producer = Producer({"test.mock.num.brokers": 1})
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}", producer
    producer.flush(10)


async def test_it_reads_from_the_embedded_broker_as_from_a_real_one(
    mock: tuple[str, Producer], redis_url: str, namespace: str
) -> None:
    bootstrap, producer = mock
    topic = f"{namespace}.events"
    for k in range(400):
        producer.produce(topic, str(k).encode(), key=b"k", partition=k % 4)
    producer.flush(10)
    store = Store(redis_url, namespace)
    reader = Reader(bootstrap, topic, f"{namespace}-fold")
    positions = Positions(store, reader.app, topic)
    async with running(reader.app):
        await reader.read(400)
        for k in range(4):
            producer.produce(topic, b"late", partition=k)
        producer.flush(10)
        await reader.read(404)
        await until(lambda: len(positions.held()) == 4, "all claimed")
    assert [reader.values(p)[-1] for p in range(4)] == [b"late"] * 4
    await store.close()


def test_no_fetch_of_the_embedded_broker_is_held_long_for_it_does_not_wake_one() -> None:
    for embedded, idle_ms in ((True, 7), (False, 100)):
        settings = freshet_settings.load(embedded=embedded, fetch_max_wait_ms=7)
        options = build.faust_conf(settings)["options"]
        assert (options.fetch_max_wait_ms, options.fetch_idle_wait_ms) == (7, idle_ms)
