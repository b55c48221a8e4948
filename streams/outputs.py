"""All that a process writes to Kafka, through one idempotent producer, and the shape of a dead letter."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    RecordListTooLargeError,
)

from streams.validation import Rejected

log = logging.getLogger(__name__)

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

_SPENT = (OutOfOrderSequenceNumber, InvalidProducerEpoch)
"""What an idempotent producer hears for ever once a batch was refused: aiokafka counts it, the broker does not."""

BATCH_BYTES = 256 * 1024
"""Of one partition, waiting for a request: a full one makes its sender wait. 16 kB, four slates, as it comes."""
RAW_MAX = 256 * 1024
"""Bytes of a bad record kept in its dead letter; a longer one is cut and named by its sha256."""


_OF_TRACES = frozenset({"traceparent", "tracestate"})


@dataclass(frozen=True, slots=True)
class Message:
    """One record to produce; ``topic`` without its namespace."""

    topic: str
    key: str
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Outputs:
    """Produces records; acks=all, idempotent, in order per key.

    Args:
        namespace: prefix of every topic.
        client: arguments of the Kafka client (bootstrap servers, security).
        now: the time of what is produced, ms; the producer's wall clock where none is given.
    """

    def __init__(
        self, namespace: str, client: Mapping[str, Any], *, max_request_bytes: int = 2_097_152,
        now: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        self.namespace = namespace
        self._client = dict(client)
        self._max = max_request_bytes
        self.stats: Counter[str] = Counter()
        self._producer: AIOKafkaProducer | None = None
        self._now = now
        self._spent: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()

    async def start(self) -> None:
        """Connect."""
        self._producer = self._made()
        await self._producer.start()

    def _made(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=self._max,
            request_timeout_ms=30_000,
        )

    async def _renew(self) -> None:
        """Put another producer in place of one that the broker takes nothing from any more."""
        async with self._renewing:
            spent = self._spent
            if spent is None:
                return
            log.error("the broker takes nothing more from this producer: another one goes on")
            fresh = self._made()
            try:
                await fresh.start()
            except KafkaError:
                await fresh.stop()
                raise
            self._producer, self._spent = fresh, None
            self.stats["producers_renewed"] += 1
        await spent.stop()

    async def start_patiently(self, pause_s: float = 1.0) -> None:
        """Connect; a broker that is away is waited for."""
        while True:
            try:
                await self.start()
                return
            except KafkaError as error:
                log.warning("Kafka does not answer (%s); trying again", type(error).__name__)
                await self.stop()
                await asyncio.sleep(pause_s)

    async def stop(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def flush(self) -> None:
        """Wait until all that was handed over is acknowledged."""
        if self._producer is not None:
            await self._producer.flush()

    async def has_topic(self, topic: str) -> bool:
        """Whether the broker knows a topic, by its full name."""
        if self._producer is None:
            raise RuntimeError("the producer is not started: await start() first")
        cluster = await self._producer.client.fetch_all_metadata()
        return bool(cluster.partitions_for_topic(topic))

    async def send(self, message: Message) -> asyncio.Future[Any]:
        """Hand one record over; the answer is awaited for its acknowledgement."""
        if self._producer is None:
            raise RuntimeError("the producer is not started: await start() first")
        if self._spent is not None:
            await self._renew()
        producer = self._producer
        future: asyncio.Future[Any] = await producer.send(
            f"{self.namespace}.{message.topic}",
            key=message.key.encode(),
            value=message.value,
            partition=message.partition,
            headers=list(message.headers),
            timestamp_ms=None if self._now is None else self._now(),
        )
        future.add_done_callback(lambda done: self._look(done, producer))
        return future

    def _look(self, done: asyncio.Future[Any], producer: AIOKafkaProducer) -> None:
        if not done.cancelled() and isinstance(done.exception(), _SPENT) and producer is self._producer:
            self._spent = producer

    async def deliver(self, messages: Iterable[Message], *, pause_s: float = 0.5) -> None:
        """Produce and wait until every record is acknowledged; a broker that is away is waited for.

        One that is larger than the topic takes never will be: it is dropped, told and counted.
        """
        left = list(messages)
        while left:
            futures = [await self.attempt(message) for message in left]
            results = await asyncio.gather(*futures, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, KafkaError):
                    raise result
            failed = [(m, r) for m, r in zip(left, results, strict=True) if isinstance(r, KafkaError)]
            left = [m for m, r in failed if not isinstance(r, _TOO_LARGE)]
            for message in (m for m, r in failed if isinstance(r, _TOO_LARGE)):
                self.stats["outputs_too_large"] += 1
                log.error("%s: a record of %d bytes is too large", message.topic, len(message.value or b""))
            if left:
                log.warning("%d records were not taken by Kafka (%r); trying again", len(left), failed[-1][1])
                await asyncio.sleep(pause_s)

    async def attempt(self, message: Message) -> asyncio.Future[Any]:
        """Hand one record over; a broker that takes none shows in the answer."""
        try:
            return await self.send(message)
        except KafkaError as error:
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed


def logged(user_id: str, exposure: bytes) -> tuple[Message, Message]:
    """A slate as served, for ``events``, where it is learnt from, and for ``exposures``, where it is kept.

    Sent one after the other they go in one request. Copied by the fold instead, before its commit, it would hold up
    every event of the same batch until the broker has answered.
    """
    return Message("events", user_id, exposure), Message("exposures", user_id, exposure)


def dead_letter(
    rejected: Rejected, topic: str, partition: int, offset: int, key: bytes | None, raw: bytes | None,
    headers: Iterable[tuple[str, bytes]] = (),
) -> Message:  # fmt: skip
    """The record that says why another was not folded; its id is where the bad one stands, to tell repeats.

    Args:
        headers: of the bad one; the trace it was in goes on.

    >>> letter = dead_letter(Rejected("json", "not JSON"), "freshet.events", 3, 41, None, b"{")
    >>> orjson.loads(letter.value)["id"]
    'freshet.events-3-41'
    """
    raw = raw or b""
    value: dict[str, Any] = {
        "v": 1,
        "id": f"{topic}-{partition}-{offset}",
        "reason": rejected.reason,
        "detail": rejected.detail[:1_000],
        "field": rejected.field,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "key": base64.b64encode(key or b"").decode(),
        "raw": base64.b64encode(raw[:RAW_MAX]).decode(),
    }
    if len(raw) > RAW_MAX:
        value |= {"truncated": True, "bytes": len(raw), "sha256": sha256(raw).hexdigest()}
    return Message("dead-letters", topic, orjson.dumps(value), headers=carried(headers))


def carried(headers: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """Of a record's headers those by which its trace goes on in what becomes of it.

    >>> carried([("traceparent", b"00-1-2-01"), ("other", b"x")])
    (('traceparent', b'00-1-2-01'),)
    """
    return tuple((name, value) for name, value in headers or () if name in _OF_TRACES)
