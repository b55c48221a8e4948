"""What the console is told: the log's newest records, heard in no group and only while somebody watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import ConsumerRecord

from online_models.errors import StoreUnavailable
from online_models.store import Store
from serving.api_metrics import ApiMetrics
from serving.live_board import LiveBoard
from streams.broadcast import BroadcastReader
from streams.clock import wall_ms

log = logging.getLogger(__name__)

TICK_S = 1.0
LINGER_S = 15.0
"""A page that is loaded again finds the listening still going on."""
READ_PER_TICK = 2_000
"""Events looked into a tick; beyond that they are only counted, so that a busy log costs no more."""
HISTORY = 300


class LiveFeed:
    """Ticks for the console (:class:`serving.console_api.Feed`).

    Args:
        namespace: of the topics.
        client: arguments of the Kafka client.
        store: where the workers' positions stand.
        partitions: of the events topic.
        metrics: of the API, for its latency.
    """

    def __init__(
        self, namespace: str, client: Mapping[str, Any], store: Store, partitions: int, metrics: ApiMetrics
    ) -> None:
        self.board = LiveBoard()
        self.ending: Callable[[], bool] = lambda: False
        self._store, self._partitions, self._metrics = store, partitions, metrics
        self.watching = 0
        self._task: asyncio.Task[None] | None = None
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._ticked = asyncio.Event()
        self._left = READ_PER_TICK

        def reader(topic: str, hear: Any, before: int) -> BroadcastReader:
            return BroadcastReader(f"{namespace}.{topic}", client, hear, from_end=before)

        self._events = reader("events", self._hear_events, 0)
        self._readers = (
            self._events,
            reader("recommendations", self._each(self.board.recommendation), 0),
            reader("drift-signals", self._each(self.board.signal), 200),
            reader("dead-letters", self._each(self.board.letter), 20),
        )

    @property
    def listening(self) -> bool:
        """Whether anything is read at the moment."""
        return self._task is not None and not self._task.done()

    # ------------------------------------------------------------------ watchers

    async def ticks(self) -> AsyncIterator[Mapping[str, Any]]:
        """One a second, for one watcher; the first brings what there is of the last minutes."""
        self.watching += 1
        try:
            self._begin()
            yield {"history": [_brief(tick) for tick in self._history], "every_s": TICK_S}
            while not self.ending() and self.listening:
                ticked = self._ticked
                await ticked.wait()
                if self._history:
                    yield self._history[-1]
        finally:
            self.watching -= 1

    def _begin(self) -> None:
        if not self.listening:
            self._history.clear()
            self._task = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # ------------------------------------------------------------------ listening

    async def _listen(self) -> None:
        """Read and tick until nobody has watched for a while."""
        tasks = [asyncio.create_task(reader.run()) for reader in self._readers]
        try:
            seen = before = time.monotonic()
            while before - seen < LINGER_S and not self.ending():
                await asyncio.sleep(TICK_S)
                now = time.monotonic()
                self._tick(now - before)
                before = now
                seen = now if self.watching else seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._wake()

    def _tick(self, seconds: float) -> None:
        tick = self.board.tick(seconds)
        tick |= {"ts": wall_ms(), "latency": self._metrics.latency_lately()}
        self._history.append(tick)
        self._left = READ_PER_TICK
        self._wake()

    def _wake(self) -> None:
        """Wake all who wait; each then waits for the next event, which is a new one."""
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()

    async def _hear_events(self, records: Sequence[ConsumerRecord]) -> None:
        self.board.passed(len(records))
        for record in records[: self._left]:
            _tell(self.board.event, record)
        self._left = max(0, self._left - len(records))

    @staticmethod
    def _each(take: Callable[[Mapping[str, Any]], None]) -> Callable[..., Any]:
        async def hear(records: Sequence[ConsumerRecord]) -> None:
            for record in records:
                _tell(take, record)

        return hear

    # ------------------------------------------------------------------ health

    async def partitions(self) -> list[dict[str, Any]]:
        """Where the workers stand in each partition, and how far that is from its end where the end is known."""
        keys = [("GET", f"{self._store.prefix(p)}next") for p in range(self._partitions)]
        try:
            nexts = await self._store.read(keys)
        except StoreUnavailable:
            return []
        out = []
        for p, raw in enumerate(nexts):
            position, end = int(raw or 0), self._events.positions.get(p) if self.listening else None
            lag = None if end is None else max(0, end - position)
            out.append({"partition": p, "position": position, "lag": lag})
        return out


def _tell(take: Callable[[Mapping[str, Any]], None], record: ConsumerRecord) -> None:
    """A record that cannot be read is none of the console's business: the worker tells of it."""
    try:
        take(orjson.loads(record.value or b"{}"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.debug("%s-%d passed over: %s", record.topic, record.offset, error)


def _brief(tick: Mapping[str, Any]) -> dict[str, Any]:
    """What the charts need of a tick that is past."""
    kept = ("ts", "events_per_s", "arms", "latency", "dead")
    fresh = {name: tick["freshness"][name] for name in ("p50", "p99")}
    return {**{name: tick[name] for name in kept}, "freshness": fresh}
