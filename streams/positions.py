"""Which partitions this worker owns, and the rules by which it commits.

A partition is claimed once per assignment. Whoever is fenced drops what it holds and does not claim by itself: the
group's next assignment says who owns it. Should the group still count this worker in (its claim was overtaken by a
worker that was waking up), a new assignment is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from online_models.errors import Fenced, PositionMoved
from online_models.store import Ownership, Store, Write
from streams.transport_batch import BEGINNING, UNKNOWN, Batch, Hooks


class App(Protocol):
    """What is asked of a Faust application."""

    transport_hooks: Hooks
    conf: Any
    consumer: Any


@dataclass(slots=True, eq=False)
class Held:
    """One partition as this worker owns it, from one assignment to the next.

    ``state`` is whatever the application keeps in memory of the partition; it dies with the hold.
    """

    own: Ownership
    generation: int
    state: Any = None
    begin: int | None = None  # where the first batch began, as long as nothing was ever committed

    @property
    def next(self) -> int | None:
        """Position of the first record not folded in; None when nothing was committed nor read yet."""
        return self.begin if self.own.next is None else self.own.next

    @property
    def partition(self) -> int:
        """Its number."""
        return self.own.partition


class Positions:
    """The holds of one worker on the partitions of one topic.

    Args:
        app: its hooks ``position_for``, ``reached`` and ``on_revoked`` are set here.
        on_claim: called with each new hold, before anything of it is read; may load and set ``state``.
        on_drop: called when a hold ends, for whatever reason.
        on_lost: called with (partition, position it was at, position it is at) when the store has lost commits.
    """

    def __init__(
        self,
        store: Store,
        app: App,
        topic: str,
        *,
        on_claim: Callable[[Held], Any] | None = None,
        on_drop: Callable[[Held], None] | None = None,
        on_lost: Callable[[int, int, int], Awaitable[None]] | None = None,
    ) -> None:
        self.store, self.app, self.topic = store, app, topic
        self._on_claim, self._on_drop, self._on_lost = on_claim, on_drop, on_lost
        self._reached: dict[tuple[int, int], int] = {}  # generation, partition -> position committed here
        self._held: dict[int, Held] = {}
        self.gaps = self.fenced = self.moved = self.stale = 0
        app.transport_hooks.position_for = self.position_for
        app.transport_hooks.reached = self.reached
        app.transport_hooks.on_revoked = self.revoked

    def held(self) -> list[Held]:
        """The partitions owned now."""
        return list(self._held.values())

    def holding(self, partition: int) -> Held | None:
        """The hold on a partition, if it is owned now."""
        return self._held.get(partition)

    async def position_for(self, topic: str, partition: int, generation: int) -> int | None:
        """Claim a partition that was assigned; where to read on. None for other topics."""
        if topic != self.topic:
            return None
        self.drop(partition)
        own = await self.store.claim(partition)
        await self._look_for_losses(own)
        await self._admit(Held(own, generation))
        return BEGINNING if own.next is None else own.next

    async def _look_for_losses(self, own: Ownership) -> None:
        """A store that is behind what it had, by our own memory or by what Kafka was told, has lost commits."""
        if self._on_lost is None:
            return
        was = self._reached.get((own.generation, own.partition))
        if was is None and own.generation == 0:  # a rebuild ends a little before what Kafka was told
            was = await self.app.consumer.reported(self.topic, own.partition)
        if was is not None and was > (own.next or 0):
            await self._on_lost(own.partition, was, own.next or 0)
        self._reached.pop((own.generation, own.partition), None)

    async def _admit(self, held: Held) -> None:
        if self._on_claim is not None:
            loading = self._on_claim(held)
            if asyncio.iscoroutine(loading):
                await loading
        self._held[held.partition] = held

    def reached(self, topic: str, partition: int, generation: int) -> int | None:
        """How far a partition is folded in, under the hold of this generation. None for other topics."""
        if topic != self.topic:
            return None
        held = self._held.get(partition)
        if held is None or held.generation != generation or held.next is None:
            return UNKNOWN
        return held.next

    def admit(self, batch: Batch) -> Held | None:
        """The hold under which a batch may be folded; None when it may not be, and is read again where it must."""
        held = self._held.get(batch.partition)
        if held is None or held.generation != batch.generation:
            self.stale += 1
            return None
        if held.next is None:
            held.begin = batch.from_position
        if held.next != batch.from_position:
            self.gaps += 1
            self._seek(batch.partition, held.next)
            return None
        return held

    async def commit(self, held: Held, writes: Sequence[Write], next_position: int | None) -> bool:
        """Commit under a hold; False when it was refused: the hold is gone and the batch must be forgotten.

        Raises:
            CommitInvalid: a write could fail; nothing was written, the hold stands.
        """
        try:
            held.own = await self.store.commit(held.own, writes, next_position)
        except Fenced:
            self.fenced += 1
            if self._end(held):
                self._ask_for_assignment(held.generation)
        except PositionMoved:
            self.moved += 1
            if self._end(held):
                await self._reread(held)
        else:
            self._reached[held.own.generation, held.partition] = held.own.next or 0
            return True
        return False

    async def _reread(self, held: Held) -> None:
        """Still ours, but not where we thought: begin anew from what is stored."""
        try:
            own = await self.store.reread(held.own)
        except Fenced:
            self.fenced += 1
            self._ask_for_assignment(held.generation)
            return
        if held.partition not in self._held:  # no assignment came in between
            await self._look_for_losses(own)
            await self._admit(Held(own, held.generation))
            self._seek(held.partition, BEGINNING if own.next is None else own.next)

    def renew(self) -> None:
        """Begin every hold anew: the store has gone over to another generation."""
        for partition in list(self._held):
            self.drop(partition)
            self._seek(partition, None)

    def revoked(self, gone: Iterable[tuple[str, int]]) -> None:
        """Forget partitions that are no longer ours."""
        for topic, partition in gone:
            if topic == self.topic:
                self.drop(partition)

    def drop(self, partition: int) -> None:
        """Forget one partition."""
        held = self._held.get(partition)
        if held is not None:
            self._end(held)

    def _end(self, held: Held) -> bool:
        """End this hold, and no newer one of the same partition; whether it was still the one in force."""
        if self._held.get(held.partition) is not held:
            return False
        del self._held[held.partition]
        if self._on_drop is not None:
            self._on_drop(held)
        return True

    def _seek(self, partition: int, position: int | None) -> None:
        self.app.consumer.request_seek(self.topic, partition, position)

    def _ask_for_assignment(self, generation: int) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.app.conf.broker_session_timeout, self._rejoin_if, generation)

    def _rejoin_if(self, generation: int) -> None:
        if self.app.consumer.generation == generation:
            self._asking = asyncio.ensure_future(self.app.consumer.request_rejoin())
