"""aiokafka beside the application on its loop: gives what was fetched, partition by partition.

Faust runs it in a thread of its own. There each batch went through three passages between threads, with a turn of the
interpreter's lock each; a fifth of what a batch of one record cost. Heartbeats are tasks of the same loop, so a
loop that stands for a session is replaced.

Reads aiokafka 0.14's fetched records directly (``Fetcher._records``): its public ``getmany`` neither says which
positions a piece of the log covers nor bounds each partition by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import Any, cast

import aiokafka
from aiokafka.consumer.fetcher import FetchError
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, credentials_to_aiokafka_auth, server_list
from faust.types import TP
from mode.threads import QueueServiceThread

from streams.transport_batch import Options, Record

_Actions = tuple[Any, ...]
"""aiokafka's: fetches to send, then what else there is to do."""
_CHUNK = 64
_STALE_S = 0.05
_COMMIT_S = 2.0
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What was fetched of one partition, or why nothing can be."""

    tp: TP
    from_position: int
    next_position: int
    records: tuple[Record, ...]
    log_end: int
    error: Exception | None = None


class Fetching(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread without the thread."""

    options: Options = Options()
    gather_ms = 0  # how long records gather at the broker between two fetches; see streams/transport_pace.py
    _resting: asyncio.TimerHandle | None = None  # until it is over no fetch is sent
    _awaits = False  # whether a take waits for records
    _waiter: asyncio.Future[None] | None = None
    _telling: asyncio.Future[None] | None = None
    _woken = False
    _wanted: Mapping[TP, int] = MappingProxyType({})  # of the take under way

    def __init__(self, consumer: Any, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the consumer, in place of a thread that would.

        Raises:
            Exception: it cannot be started.
        """
        self._thread_started.set()
        running = self._thread_running = self.parent_loop.create_future()
        self._serving = self.parent_loop.create_task(self._serve())
        self._serving.add_done_callback(lambda served: served.cancelled() or served.exception())
        await running

    async def _gather_remaining_tasks(self) -> None:
        """Nothing: the tasks of this loop are not only ours."""

    # ------------------------------------------------------------------ what the consumer asks

    async def take(self, generation: int, wanted: Mapping[TP, int], timeout_s: float) -> list[Taken]:
        """What there is of the ``wanted`` partitions, each with the position it must begin at; seeks where it must.

        Returns at once when there is something, after ``timeout_s`` or `wake` when there is nothing, and with nothing
        when the assignment is no longer that of ``generation``.
        """
        self._wanted = wanted
        return await self._take(generation, timeout_s)

    def wake(self) -> None:
        """End a waiting `take`: what is wanted has changed."""
        self._woken = True
        self._end_wait()

    def also(self, tp: TP, position: int) -> None:
        """One partition more is wanted by the `take` under way, from there."""
        self._wanted = {**self._wanted, tp: position}
        if tp in self._ensure_consumer()._fetcher._records:  # else what comes of it ends the wait
            self._end_wait()

    async def committed(self, tp: TP) -> int:
        """Kafka's committed position of a partition, or the beginning of its log."""
        return await self._committed(tp)

    async def reported(self, tp: TP) -> int | None:
        """Kafka's committed position of a partition; None where none was."""
        found = await self._ensure_consumer().committed(TopicPartition(*tp))
        return None if found is None else int(found)

    async def ends(self, tp: TP) -> tuple[int, int]:
        """The first position of a partition's log, and the one after its last record."""
        return await self._ends(tp)

    async def rejoin(self) -> None:
        """Ask the group for a new assignment."""
        self._ensure_consumer()._coordinator.request_rejoin()

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """Tell Kafka the positions, for lag tools; False when it did not take them."""
        return await self._commit(offsets)

    def close(self) -> None:
        """Nothing: its own end stops the consumer."""

    # ------------------------------------------------------------------ fetched records

    async def _take(self, generation: int, timeout_s: float) -> list[Taken]:
        consumer = self._ensure_consumer()
        if consumer._closed or consumer._fetcher._closed:
            raise ConsumerStoppedError
        subscription = consumer._subscription
        subscription._fetch_count += 1  # "polling": fetch_context() would not count down after an exception
        try:
            if not self._is_current(consumer, generation):
                await asyncio.sleep(_STALE_S)
                return []
            return await self._wait_for(consumer, generation, monotonic() + timeout_s)
        finally:
            subscription._fetch_count -= 1
            subscription._last_fetch_ended = monotonic()

    async def _wait_for(self, consumer: Any, generation: int, deadline: float) -> list[Taken]:
        while True:
            taken = self._drain(consumer, self._wanted)
            if taken:  # the next fetch waited for it
                self._fetch_after(consumer._fetcher, self.gather_ms / 1_000)
            left = deadline - monotonic()
            if taken or self._woken or left <= 0:
                self._woken = False
                return taken
            self._waiter = consumer._fetcher._create_fetch_waiter()
            over = self.thread_loop.call_later(left, self._end_wait)
            self._awaits = True
            try:
                await self._waiter  # a refused authorization comes this way
            finally:
                self._awaits = False
                over.cancel()
            if not self._is_current(consumer, generation):
                return []

    def _fetch_after(self, fetcher: Any, pause_s: float) -> None:
        """Ask the broker for more, once records had time to gather.

        Left to the broker (a least size and a short longest wait) it would hold up what came meanwhile by as much.
        """
        if not pause_s:
            self._rested(fetcher)
        elif self._resting is None:
            self._resting = asyncio.get_running_loop().call_later(pause_s, self._rested, fetcher)

    def _rested(self, fetcher: Any) -> None:
        if self._resting is not None:
            self._resting.cancel()
        self._resting = None
        fetcher._notify(fetcher._wait_consume_future)

    def _end_wait(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _is_current(self, consumer: Any, generation: int) -> bool:
        subscription = consumer._subscription.subscription
        return bool(
            consumer._coordinator.generation == generation
            and not consumer._subscription.reassignment_in_progress
            and subscription is not None
            and subscription.assignment is not None
            and subscription.assignment.active
        )

    def _drain(self, consumer: Any, wanted: Mapping[TP, int]) -> list[Taken]:
        """What is fetched of each wanted partition, up to a batch each."""
        fetcher = consumer._fetcher
        assignment = consumer._subscription.subscription.assignment
        found: list[Taken] = []
        for tp, expected in wanted.items():
            held, state = fetcher._records.get(tp), assignment.state_value(tp)
            if state is None:
                continue
            if not state.has_valid_position or state.position != expected:
                consumer.seek(TopicPartition(*tp), expected)  # a seek, or aiokafka went elsewhere by itself
            elif type(held) is FetchError:
                self._release(fetcher, tp)
                found.append(Taken(tp, expected, expected, (), 0, held._error))
            elif held is not None:
                found.append(self._piece(consumer, tp, held, state, expected))
        return [piece for piece in found if piece.error or piece.next_position > piece.from_position]

    def _piece(self, consumer: Any, tp: TP, held: Any, state: Any, expected: int) -> Taken:
        records: list[Record] = []
        size, most, most_bytes = 0, self.options.max_batch_records, self.options.max_batch_bytes
        try:
            while held.has_more() and len(records) < most and size < most_bytes:
                for r in held.getall(min(_CHUNK, most - len(records))):
                    records.append(Record(r.offset, r.timestamp, r.key, r.value, r.headers))
                    size += len(r.value or b"") + len(r.key or b"")
        except KafkaError as error:  # a checksum that does not hold: fetch it again
            self._release(consumer._fetcher, tp)
            consumer.seek(TopicPartition(*tp), expected)
            return Taken(tp, expected, expected, (), 0, error)
        if not held.has_more():
            self._release(consumer._fetcher, tp)
        return Taken(tp, expected, state.position, tuple(records), state.highwater or 0)

    @staticmethod
    def _release(fetcher: Any, tp: TP) -> None:
        fetcher._records.pop(tp, None)
        fetcher._notify(fetcher._wait_consume_future)

    async def _committed(self, tp: TP) -> int:
        consumer = self._ensure_consumer()
        committed = await consumer.committed(TopicPartition(*tp))
        if committed is not None and committed >= 0:
            return int(committed)
        return (await self._ends(tp))[0]

    async def _ends(self, tp: TP) -> tuple[int, int]:
        consumer, where = self._ensure_consumer(), TopicPartition(*tp)
        first = await consumer.beginning_offsets([where])
        last = await consumer.end_offsets([where])
        return int(first[where]), int(last[where])

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        theirs = {
            TopicPartition(*tp): OffsetAndMetadata(at, "") for tp, at in offsets.items() if tp in assigned
        }
        if not theirs:
            return False
        if self._telling is not None and not self._telling.done():
            return False  # the one before still waits for Kafka
        telling = self._telling = asyncio.ensure_future(consumer.commit(theirs))
        telling.add_done_callback(lambda told: told.cancelled() or told.exception())
        await asyncio.wait([telling], timeout=_COMMIT_S)
        if not telling.done():
            return False
        try:
            telling.result()
        except KafkaError as error:
            # Faust ends the worker here; where the position is Redis's, this one is only information.
            self.log.warning("Kafka did not take the positions %r: %r", theirs, error)
            return False
        return True

    # ------------------------------------------------------------------ the consumer

    async def on_start(self) -> None:
        """Create and start the consumer."""
        await super().on_start()
        # A partition that waits for its batch to be done must not hold up the others of its broker (100 ms).
        fetcher = cast(Any, self._consumer)._fetcher
        fetcher._prefetch_backoff = 0
        clear_in_time(fetcher)
        fetcher._get_actions_per_node = partial(self._actions, fetcher, fetcher._get_actions_per_node)

    def _actions(self, fetcher: Any, actions: Callable[[Any], _Actions], assignment: Any) -> _Actions:
        """What aiokafka is to ask the broker now, and for how long the broker may hold it.

        A fetch sent before a take has got what came with the last would leave those partitions out, and they would wait
        for its end. So it is sent when they are taken.
        """
        soon, late = self.options.fetch_max_wait_ms, self.options.fetch_idle_wait_ms
        fetcher._fetch_max_wait_ms = soon if fetcher._records else max(soon, late)
        fetches, *others = actions(assignment)
        waits = self._awaits and not self._wanted.keys().isdisjoint(fetcher._records)
        if waits or self._resting is not None:
            fetches = []
        return (fetches, *others)

    async def on_thread_stop(self) -> None:
        """Leave the group and stop; not waiting long for a broker that is away."""
        await QueueServiceThread.on_thread_stop(self)
        if self._consumer is not None:
            await asyncio.wait([asyncio.ensure_future(self._consumer.stop())], timeout=_STOP_S)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf, options = self.app.conf, self.options
        ours = conf.table_standby_replicas > 0
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self.app.assignor if ours else RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # never to the earliest by itself: what lies between would be lost in silence
            max_poll_records=None,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 60.0) * 1000),
            max_partition_fetch_bytes=options.max_partition_fetch_bytes,
            fetch_max_wait_ms=options.fetch_max_wait_ms,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            client_rack=options.client_rack,
            **credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )


def clear_in_time(fetcher: Any) -> None:
    """A request that is done is no longer in flight when aiokafka looks for what to ask next.

    aiokafka 0.14 takes a node out of ``_in_flight`` in a callback of the request's task. Where a consumed partition
    wakes its loop in the very turn in which the task ends, it looks before that callback: the node still counts as
    busy, nothing is asked, and nothing but its timeout of 200 ms wakes it again.
    """
    for name in ("_proc_fetch_request", "_update_fetch_positions"):
        setattr(fetcher, name, partial(_asked, fetcher, getattr(fetcher, name)))


async def _asked(
    fetcher: Any, ask: Callable[..., Coroutine[Any, Any, bool]], assignment: Any, node: int, what: Any
) -> bool:
    try:
        return await ask(assignment, node, what)
    finally:
        fetcher._in_flight.discard(node)
