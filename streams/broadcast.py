"""Reads a topic every process must hear in full: no consumer group, all partitions, from a position of one's own.

In a group each record would reach one member only; here every worker and every API replica hears the whole catalogue
and every other worker's deltas.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)

Hear = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]


class BroadcastReader:
    """Hears one topic from given positions on and says when it has caught up.

    Args:
        topic: full name.
        client: arguments of the Kafka client (bootstrap servers, security).
        hear: takes a batch of records, in order of each partition.
        positions: where to begin, per partition; a partition not named is read from its beginning.
        from_end: when given, each connection begins at most so many records before the end instead.
    """

    def __init__(
        self,
        topic: str,
        client: Mapping[str, Any],
        hear: Hear,
        *,
        positions: Mapping[int, int] | None = None,
        from_end: int | None = None,
        fetch_max_wait_ms: int = 50,
        most: int = 500,
    ) -> None:
        self.topic = topic
        self.positions: dict[int, int] = dict(positions or {})
        self.caught_up = asyncio.Event()
        self._client = dict(client)
        self._hear = hear
        self._from_end = from_end
        self._wait, self._most = fetch_max_wait_ms, most
        self._ends: dict[int, int] = {}
        self._rewound = False

    async def run(self) -> None:
        """Hear for ever; a broker that is away is waited for."""
        while True:
            try:
                await self._session()
            except KafkaError as error:
                log.warning("%s: %s; trying again", self.topic, type(error).__name__)
                await asyncio.sleep(1.0)

    def rewind(self, positions: Mapping[int, int]) -> None:
        """Hear again from given positions on; a partition not named from its beginning."""
        self.positions = dict(positions)
        self._rewound = True

    async def _session(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._wait,
        )
        await consumer.start()
        try:
            await self._assign(consumer)
            while True:
                if self._rewound:
                    self._rewound = False
                    await self._assign(consumer)
                await self._check_caught_up(consumer)
                fetched = await consumer.getmany(timeout_ms=1_000, max_records=self._most)
                for place, records in fetched.items():
                    if not self._rewound:
                        await self._hear(records)
                    if self._rewound:
                        break
                    self.positions[place.partition] = records[-1].offset + 1
        finally:
            await consumer.stop()

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        while not (partitions := await self._partitions(consumer)):  # noqa: ASYNC110 - the topic is being made elsewhere
            await asyncio.sleep(0.2)
        places = [TopicPartition(self.topic, p) for p in sorted(partitions)]
        consumer.assign(places)
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            wanted = self.positions.get(place.partition, 0)
            if self._from_end is not None:
                wanted = max(0, ends[place] - self._from_end)
            begin = max(wanted, begins[place])
            if begin > wanted and wanted and self._from_end is None:
                log.warning("%s-%d: %d records were deleted before they were heard", *place, begin - wanted)
            consumer.seek(place, begin)
            self.positions[place.partition] = begin
        self._ends = {place.partition: end for place, end in ends.items()}

    async def _partitions(self, consumer: AIOKafkaConsumer) -> set[int]:
        # a consumer without a subscription keeps no metadata of its own
        cluster = await consumer._client.fetch_all_metadata()
        return cluster.partitions_for_topic(self.topic) or set()

    async def _check_caught_up(self, consumer: AIOKafkaConsumer) -> None:
        if self.caught_up.is_set():
            return
        for p, end in self._ends.items():  # the reader's own position also passes markers that hold no record
            if await consumer.position(TopicPartition(self.topic, p)) < end:
                return
        self.caught_up.set()
