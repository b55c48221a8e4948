"""Where the log ends, asked of the broker directly: a consumer that has died silently would not tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)

PATIENCE_S = 5.0


class LogEnds:
    """Asks for the end of partitions of one topic, outside of any group."""

    def __init__(self, topic: str, client: Mapping[str, Any]) -> None:
        self.topic = topic
        self._client = dict(client)
        self._consumer: AIOKafkaConsumer | None = None

    async def of(self, partitions: Iterable[int]) -> dict[int, int] | None:
        """The first position after each partition's last record; None while the broker does not answer."""
        places = [TopicPartition(self.topic, p) for p in partitions]
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._consumer is None:
                    await self._connect()
                ends = await self._consumer.end_offsets(places) if places else {}  # type: ignore[union-attr]
        except (KafkaError, TimeoutError):
            return None
        return {place.partition: end for place, end in ends.items()}

    async def _connect(self) -> None:
        consumer = AIOKafkaConsumer(**self._client, group_id=None, enable_auto_commit=False)
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None
