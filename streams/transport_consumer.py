"""The consumer: one place a partition, one batch of it under way, positions that only we move.

Faust's own consumer loses its place around rebalances: ``_drain_messages`` writes ``_read_offset`` after awaiting the
callback, ``getmany`` seeks by itself while the flow is stopped, and buffered events outlive their generation. Here a
place belongs to one generation and says where the next batch begins; nothing else is believed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import process_time
from typing import Any

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from faust.sensors import Sensor
from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import Consumer as AIOKafkaConsumer
from faust.types import TP, ConsumerMessage
from faust.types.tuples import ack_lock

from streams.transport_batch import BEGINNING, UNKNOWN, Batch, Hooks, LostRange, Options
from streams.transport_fetch import Fetching, Taken
from streams.transport_pace import Pace

_REFUSED = (GroupAuthorizationFailedError, TopicAuthorizationFailedError)
_TAKE_S = 1.0
_PAUSE_S = 0.5


@dataclass(slots=True, eq=False)
class Place:
    """Where one partition stands in one generation."""

    tp: TP
    generation: int
    begin: int | None = None  # from_position of the next batch; None until it is known
    read: int = 0  # where the fetcher stands: beyond ``begin`` when only markers were read
    seek: int | None = None  # asked for, not yet done
    message: Any = None  # the batch under way
    done: int | None = None  # end of the last batch that was acknowledged
    committed: int | None = None  # what Kafka has taken of it
    stopped: bool = False

    @property
    def has_room(self) -> bool:
        """Whether a batch of it may be fetched."""
        return self.begin is not None and self.message is None and not self.stopped


class _Acks(Sensor):  # type: ignore[misc]
    """Tells the consumer of finished messages: Faust's compiled stream acknowledges without asking it."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        super().__init__()

    def on_message_out(self, tp: TP, offset: int, message: Any) -> None:
        self._consumer.finished(message)


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Hands out batches; see the module."""

    _thread: Fetching

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._places: dict[TP, Place] = {}
        self._locating: dict[TP, asyncio.Task[None]] = {}
        self._generation = -1
        self._pace = Pace()
        self._taking: object | None = None  # the take under way
        super().__init__(*args, **kwargs)
        self.app.sensors.add(_Acks(self))

    @property
    def _options(self) -> Options:
        return getattr(self.app, "transport_options", None) or Options()

    @property
    def _hooks(self) -> Hooks:
        return getattr(self.app, "transport_hooks", None) or Hooks()

    def _new_consumer_thread(self) -> Fetching:
        thread = Fetching(self, loop=self.loop, beacon=self.beacon)
        thread.options = self._options
        return thread

    # ------------------------------------------------------------------ what the application may ask

    def request_seek(self, topic: str, partition: int, position: int | None) -> None:
        """Read a partition on from ``position`` (None: ask the hook again), once what is being fetched is in.

        What is queued of it is discarded. Nothing happens when the partition is not ours.
        """
        place = self._places.get(TP(topic, partition))
        if place is None:
            return
        if position is None or position < 0:
            self._locate_again(place, position)
        else:
            place.seek, place.stopped = position, False
            self._thread.wake()

    async def request_rejoin(self) -> None:
        """Ask the group for a new assignment: for a worker that is fenced though the group counts it in."""
        await self._thread.rejoin()

    async def reported(self, topic: str, partition: int) -> int | None:
        """How far the group has told Kafka it is; None where it never has, or Kafka does not answer."""
        try:
            return await self._thread.reported(TP(topic, partition))
        except KafkaError:
            return None

    def waits(self, topic: str, partition: int, end: int) -> bool:
        """Whether something up to ``end`` is still to be handed out, or is in hand; not where reading was stopped."""
        place = self._places.get(TP(topic, partition))
        return place is not None and not place.stopped and (place.message is not None or place.read < end)

    @property
    def generation(self) -> int:
        """The group generation of the current assignment; -1 before the first."""
        return self._generation

    def places(self) -> Iterator[Place]:
        """The partitions of this generation."""
        return iter(self._places.values())

    # ------------------------------------------------------------------ assignment

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget all places: in the eager protocol everything is revoked before anything is assigned."""
        await self.commit()
        gone = self._forget()
        await super().on_partitions_revoked(revoked)
        if self._hooks.on_revoked is not None and (gone or revoked):
            self._hooks.on_revoked([tuple(tp) for tp in sorted(gone | revoked)])
        if self._hooks.let_go is not None:
            await self._hooks.let_go()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Make new places; where each stands is found out beside the loop, so that no store can hold up the group."""
        self._forget()
        self._generation = generation_id
        await super().on_partitions_assigned(assigned, generation_id)
        if self._generation != generation_id:
            return
        for tp in assigned:
            place = self._places[ensure_TP(tp)] = Place(ensure_TP(tp), generation_id)
            self._locate_again(place)

    def _forget(self) -> set[TP]:
        gone = set(self._places)
        self._places.clear()
        return gone

    def _locate_again(self, place: Place, position: int | None = None) -> None:
        before = self._locating.get(place.tp)
        self._locating[place.tp] = self.loop.create_task(self._locate(place, position, before))

    async def _locate(self, place: Place, wanted: int | None, before: asyncio.Task[None] | None) -> None:
        """Find where to read on, trying until it is known or the place is no longer ours."""
        if before is not None and not before.done():
            before.cancel()  # a claim of an earlier generation must not come after ours
            await asyncio.wait([before])
        while self._is_ours(place) and not self.should_stop:
            try:
                position = await self._position_for(place, wanted)
            except Exception as error:  # whatever it is, the partition waits and asks again
                self.log.warning("no position for %r yet: %r", place.tp, error)
                if self._hooks.on_waiting is not None:
                    self._hooks.on_waiting(place.tp.topic, place.tp.partition, error)
                await asyncio.sleep(_PAUSE_S)
            else:
                place.seek, place.stopped = position, False
                self._thread.wake()
                return

    async def _position_for(self, place: Place, position: int | None) -> int:
        if position is None and self._hooks.position_for is not None:
            position = await self._hooks.position_for(place.tp.topic, place.tp.partition, place.generation)
        if position is None:
            return await self._thread.committed(place.tp)
        return (await self._thread.ends(place.tp))[0] if position == BEGINNING else position

    def _is_ours(self, place: Place) -> bool:
        return self._places.get(place.tp) is place

    async def perform_seek(self) -> None:
        """Nothing: Faust calls it after each rebalance, but the places say where to read."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Nothing, for the same reason."""
        return {}

    async def seek(self, partition: TP, offset: int) -> None:
        """Faust's name for `request_seek`."""
        self.request_seek(partition.topic, partition.partition, offset)

    # ------------------------------------------------------------------ the loop

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and hand out, until stopped. No 1 s sleep when all partitions are busy: `wake` ends the wait."""
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(self.can_resume_flow)
                continue
            try:
                await self._drain_once()
            except self.consumer_stopped_errors:
                if not self.app.should_stop:
                    raise
                return
            except asyncio.CancelledError:
                if not fetcher.should_stop:
                    raise
                return  # else Faust takes a worker that ends during a rebalance for a crashed one
            except _REFUSED:
                raise
            except (
                KafkaError
            ) as error:  # it comes by a fetch, but is the coordinator's; it tries again by itself
                self.log.warning("Kafka: %r", error)
                await asyncio.sleep(_PAUSE_S)

    async def _drain_once(self) -> None:
        generation = self._generation
        for place in self._places.values():
            if place.seek is not None and place.message is None:
                place.begin = place.read = place.seek
                place.seek = None
        wanted = {place.tp: place.read for place in self._places.values() if place.has_room}
        taken = await self._take(generation, wanted)
        for piece in taken:
            await self._hand_out(piece, generation)

    async def _take(self, generation: int, wanted: Mapping[TP, int]) -> list[Taken]:
        self._thread.gather_ms = self._pace.gather_ms(self.loop.time(), process_time())
        this = self._taking = object()
        try:
            taken = await self._thread.take(generation, wanted, _TAKE_S)
        finally:
            if self._taking is this:  # none of a newer assignment
                self._taking = None
        self._pace.took(sum(len(piece.records) for piece in taken))
        return taken

    async def _hand_out(self, piece: Taken, generation: int) -> None:
        place = self._places.get(piece.tp)
        if place is None or place.generation != generation or place.seek is not None or not self.flow_active:
            return  # its place still says where to begin, so it is read again
        if piece.error is not None:
            place.stopped = True
            self._locating[place.tp] = self.loop.create_task(self._failed(place, piece.error))
            return
        place.read = piece.next_position
        self.app.monitor.track_tp_end_offset(piece.tp, piece.log_end)
        if not piece.records:
            return  # only markers: the next batch begins before them
        begin, place.begin = place.begin, piece.next_position
        batch = Batch(
            piece.tp.topic,
            piece.tp.partition,
            generation,
            begin or 0,
            piece.next_position,
            piece.records,
            max(piece.log_end, piece.next_position),
        )
        await self._deliver(place, batch)

    async def _deliver(self, place: Place, batch: Batch) -> None:
        message = place.message = ConsumerMessage(
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.next_position - 1,
            timestamp=batch.records[-1].timestamp / 1000,
            timestamp_type=0,
            headers=None,
            key=None,
            value=batch,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=place.tp,
            generation_id=batch.generation,
        )
        await self.callback(message)
        if not message.refcount and not message.acked:
            self.finished(message)  # no agent reads this topic

    async def _failed(self, place: Place, error: Exception) -> None:
        """A fetch was refused: stop where the log is lost, try the rest again after a pause."""
        self.log.warning("fetching %r at %s: %r", place.tp, place.read, error)
        lost = await self._lost(place) if isinstance(error, OffsetOutOfRangeError) else None
        if lost is None:
            await asyncio.sleep(_PAUSE_S)
            self._resume(place, place.read)
        elif self._is_ours(place) and self._hooks.on_lost_range is not None:
            self._hooks.on_lost_range(lost)

    async def _lost(self, place: Place) -> LostRange | None:
        """What is lost, when the log does not hold the place; None when it does, or Kafka is away."""
        try:
            first, last = await self._thread.ends(place.tp)
        except KafkaError:
            return None
        if first <= place.read <= last:
            return None
        return LostRange(place.tp.topic, place.tp.partition, place.read, first, last)

    def _resume(self, place: Place, position: int) -> None:
        place.stopped = False
        if self._is_ours(place) and place.seek is None:
            place.seek = position
            self._thread.wake()

    # ------------------------------------------------------------------ acknowledgement and Kafka's copy

    def ack(self, message: Any) -> bool:
        """Faust's uncompiled way to say that a message is done."""
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
        self.finished(message)
        return True

    def finished(self, message: Any) -> None:
        """A batch is no longer under way: its partition may be fetched again, from where it is done.

        Faust acknowledges a batch its agent failed on, too: it does so while the agent's stream is being closed.
        """
        failed = sys.exc_info()[0] is GeneratorExit
        self._unacked_messages.discard(message)
        self._acked.pop(message.tp, None)
        self._acked_index.pop(message.tp, None)
        place = self._places.get(message.tp)
        if place is None or place.message is not message:
            return
        place.message = None
        if self.app.flow_control.is_active():  # else the stream may have skipped it
            self._note_done(place, message.value.from_position if failed else message.value.next_position)
        self._ask_for(place)

    def _ask_for(self, place: Place) -> None:
        """Its next batch is wanted; where nothing waits for records, the next take asks for it by itself."""
        if self._taking is None:
            return
        if place.has_room and place.seek is None:
            self._thread.also(place.tp, place.read)
        else:
            self._thread.wake()

    def _note_done(self, place: Place, done: int) -> None:
        """How far the partition is done; what its agent did not do is read again, after a pause."""
        ask = self._hooks.reached
        reached = None if ask is None else ask(place.tp.topic, place.tp.partition, place.generation)
        if reached == UNKNOWN:
            return
        place.done = done if reached is None else reached
        if place.done != place.begin and place.seek is None:
            place.stopped = True
            self.loop.call_later(_PAUSE_S, self._resume, place, place.done)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Tell Kafka how far each partition is done; what it did not take is told again (faust #316, #606)."""
        told = {
            place.tp: place.done
            for place in self._places.values()
            if place.done is not None and place.done != place.committed
            if topics is None or place.tp in topics or place.tp.topic in topics
        }
        if not told or not await self._thread.commit(told):
            return False
        for tp, position in told.items():
            place = self._places.get(tp)
            if place is not None:
                place.committed = position
        self.app.monitor.on_tp_commit(told)
        return True

    async def wait_empty(self) -> None:
        """Wait for the batches under way, at most one session; Faust's waits for ever (faust #402)."""
        deadline = self.loop.time() + self.app.conf.broker_session_timeout
        while any(place.message is not None for place in self._places.values()):
            if self.should_stop or self.loop.time() > deadline:
                break
            await asyncio.sleep(0.02)
        await self.commit()

    async def verify_all_partitions_active(self) -> None:
        """Nothing: Faust's check reads the thread's state from here (faust #175); a watchdog looks at progress."""

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Nothing: a partition is fetched when its place has room and the flow is on."""

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Nothing, for the same reason."""
