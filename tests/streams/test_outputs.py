"""What is produced arrives, whatever the broker does; what can never arrive stops nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

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
