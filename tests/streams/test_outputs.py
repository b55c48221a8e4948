"""What is produced arrives, whatever the broker does; what can never arrive stops nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from kafka import KafkaConsumer

from streams import topics
from streams.clock import wall_ms
from streams.outputs import Message, Outputs


class FakeProducer:
    """Takes records, after so many refusals; none above ``most`` bytes."""

    def __init__(self, refusals: int = 0, most: int = 100) -> None:
        self.refusals, self.most = refusals, most
        self.taken: list[bytes] = []

    async def send(self, topic: str, *, value: bytes, **_: Any) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(value) > self.most:
            raise MessageSizeTooLargeError
        if self.refusals:
            self.refusals -= 1
            answer.set_exception(KafkaConnectionError())
        else:
            self.taken.append(value)
            answer.set_result(None)
        return answer


def _outputs(producer: FakeProducer) -> Outputs:
    outputs = Outputs("t", {})
    outputs._producer = producer
    return outputs


async def test_a_broker_that_is_away_is_waited_for() -> None:
    producer = FakeProducer(refusals=3)
    async with asyncio.timeout(10):
        await _outputs(producer).deliver([Message("x", "k", b"1"), Message("x", "k", b"2")], pause_s=0.0)
    assert sorted(producer.taken) == [b"1", b"2"]


async def test_a_record_too_large_to_be_taken_is_counted_and_stops_nothing() -> None:
    producer = FakeProducer(most=10)
    outputs = _outputs(producer)
    async with asyncio.timeout(10):
        await outputs.deliver([Message("x", "k", b"x" * 11), Message("x", "k", b"y")], pause_s=0.0)
    assert producer.taken == [b"y"]
    assert outputs.stats["outputs_too_large"] == 1


async def test_after_a_refusal_that_spends_the_producer_another_one_goes_on(
    kafka: str, namespace: str
) -> None:
    """A broker refuses what lies a day ahead; aiokafka counts the refused batch, the broker does not."""
    topics.ensure(kafka, namespace, 1)
    ahead_ms = [0]
    outputs = Outputs(namespace, {"bootstrap_servers": kafka}, now=lambda: wall_ms() + ahead_ms[0])
    await outputs.start()
    await outputs.deliver([Message("model-deltas", "w", b"0")])
    ahead_ms[0] = 86_400_000
    refused = await outputs.send(Message("model-deltas", "w", b"x"))
    with pytest.raises(KafkaError, match="InvalidTimestamp"):
        await refused
    ahead_ms[0] = 0
    async with asyncio.timeout(30):
        await outputs.deliver([Message("model-deltas", "w", b"1")], pause_s=0.0)
        await outputs.deliver([Message("model-deltas", "w", b"2")])
    assert outputs.stats["producers_renewed"] == 1
    await outputs.stop()
    assert [record.value for record in _records(kafka, f"{namespace}.model-deltas")] == [b"0", b"1", b"2"]


def _records(kafka: str, topic: str) -> list[Any]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest", consumer_timeout_ms=3_000
    )
    records = list(consumer)
    consumer.close()
    return records
