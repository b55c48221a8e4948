"""Reads a whole topic once, without a group: all partitions together, in the order of the records' time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

AHEAD = 5_000
"""Records of one partition held while others are waited for."""


class LogReader:
    """Hands out the records of a topic up to its end, merged by time; each partition keeps its own order.

    Args:
        client: arguments of the Kafka client.
        since: begin with records of this time, ms; None is the log's beginning.
    """

    def __init__(self, topic: str, client: Mapping[str, Any], *, since: int | None = None) -> None:
        self.topic = topic
        self.begins: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.reached: dict[int, int] = {}  # first position not handed out
        self._since = since
        self._held: dict[int, deque[ConsumerRecord]] = {}
        self._client = dict(client)
        self._consumer: Any = None

    @property
    def partitions(self) -> int:
        """How many the topic has."""
        return len(self.begins)

    async def open(self) -> None:
        """Connect, and find where the log begins and ends; a topic that is not there has no partitions."""
        self._consumer = AIOKafkaConsumer(
            **self._client, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        cluster = await self._consumer._client.fetch_all_metadata()
        places = [
            TopicPartition(self.topic, p) for p in sorted(cluster.partitions_for_topic(self.topic) or ())
        ]
        if not places:
            return
        self._consumer.assign(places)
        first = await self._consumer.beginning_offsets(places)
        await self.move_ends(places)
        for place in places:
            begin = await self._begin_of(place, first[place])
            self._consumer.seek(place, begin)
            self.begins[place.partition] = self.reached[place.partition] = begin
            self._held[place.partition] = deque()

    async def _begin_of(self, place: TopicPartition, first: int) -> int:
        if self._since is None:
            return first
        found = (await self._consumer.offsets_for_times({place: self._since})).get(place)
        return max(first, found.offset) if found is not None else self.ends[place.partition]

    async def move_ends(self, places: list[TopicPartition] | None = None) -> int:
        """Read on to where the log ends now; returns how far that is."""
        ends = await self._consumer.end_offsets(
            places or [TopicPartition(self.topic, p) for p in self.begins]
        )
        self.ends = {place.partition: end for place, end in ends.items()}
        return self.left()

    def left(self) -> int:
        """How many positions are still to be handed out."""
        return sum(max(0, self.ends[p] - at) for p, at in self.reached.items())

    async def records(self) -> AsyncIterator[ConsumerRecord]:
        """All up to the ends, oldest first."""
        while True:
            open_ = [p for p, end in self.ends.items() if self.reached[p] < end]
            if not open_:
                return
            while all(self._held[p] for p in open_):
                oldest = min(open_, key=lambda p: (self._held[p][0].timestamp, p))
                record = self._held[oldest].popleft()
                if record.offset >= self.ends[oldest]:  # it came after the end was looked up
                    self._held[oldest].appendleft(record)
                    self.reached[oldest] = self.ends[oldest]
                    break
                self.reached[oldest] = record.offset + 1
                yield record
                if self.reached[oldest] >= self.ends[oldest]:
                    break
            else:
                await self._fetch([p for p in open_ if not self._held[p]])

    async def rounds(self, most: int) -> AsyncIterator[list[ConsumerRecord]]:
        """The same, so many at a time; the last ones are fewer, and may be none."""
        gathered: list[ConsumerRecord] = []
        async for record in self.records():
            gathered.append(record)
            if len(gathered) >= most:
                yield gathered
                gathered = []
        yield gathered

    async def _fetch(self, wanted: list[int]) -> None:
        """Records of the partitions that are waited for; a gap at the end (markers) is passed over."""
        paused = [TopicPartition(self.topic, p) for p, held in self._held.items() if len(held) >= AHEAD]
        self._consumer.pause(*paused)
        fetched = await self._consumer.getmany(timeout_ms=500, max_records=AHEAD)
        self._consumer.resume(*paused)
        for place, records in fetched.items():
            self._held[place.partition].extend(records)
        for p in wanted:
            at = await self._consumer.position(TopicPartition(self.topic, p))
            if not self._held[p] and at >= self.ends[p]:
                self.reached[p] = self.ends[p]
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
