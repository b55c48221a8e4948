"""``freshet rebuild``: the state folded anew from the log, beside the one in force, then put in its place.

Workers and API go on with the old generation meanwhile. The new one is built by the worker's own fold, from all
partitions in the order of the records' time, so that a user whose partition has changed is still read in order. What
the first run produced (dead letters, receipts, slates) is not produced again, and nobody is owed a slate afterwards.
What the events teach is learnt beside the models in force (:mod:`streams.relearn`), saved as a snapshot, and put in
force together with the state.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import orjson
from aiokafka import ConsumerRecord

from online_models import generations
from online_models.errors import SettingsError
from online_models.state import Outcome, PartitionFold
from online_models.store import Store, Write
from streams import build
from streams.ingest import Ingest
from streams.log_reader import LogReader
from streams.outputs import Message
from streams.partitioner import partition_of
from streams.positions import Held
from streams.relearn import Relearnt
from streams.settings import Settings
from streams.transport_batch import Batch, Record

log = logging.getLogger(__name__)

ROUND = 5_000
"""Records folded at a time, over all partitions."""
NEAR = 2_000
"""Records behind the log's end at which the new generation takes over; the workers fold the rest."""
MOST_LAPS = 20


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild has done."""

    generation: int
    records: int = 0
    copies: int = 0  # records that were rerouted: their originals are folded instead
    seconds: float = 0.0
    positions: dict[int, int] = field(default_factory=dict)
    stats: dict[str, int] = field(default_factory=dict)
    snapshot: str = ""  # of what was learnt; empty where the models in force stay


class _Silent:
    """In place of the outputs: what a record led to was produced when it was first folded."""

    async def deliver(self, messages: Iterable[Message]) -> None:
        """Nothing."""


class _Effects:
    """In place of what follows a commit: debts count as settled, and it is learnt from where that is wanted."""

    def __init__(self) -> None:
        self.relearnt: Relearnt | None = None

    def committed(self, held: Held, outcome: Outcome) -> None:
        """Settle what the fold owes: the users were served when it happened."""
        if self.relearnt is not None:
            self.relearnt.learn(outcome)
        for user_id, cause in list(held.state.fold.owing.items()):
            held.state.fold.published(user_id, cause)

    def adopted(self, partition: int, fold: PartitionFold, owed: Mapping[str, int], seq: int) -> None:
        """Nothing: the generation is empty."""

    def dropped(self, partition: int) -> None:
        """Nothing."""


class _Owned:
    """In place of the worker's positions: every partition is ours, and none has a position before the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.held: dict[int, Held] = {}

    def admit(self, batch: Batch) -> Held:
        """Whatever comes is in order."""
        return self.held[batch.partition]

    async def commit(self, held: Held, writes: list[Write], next_position: int | None) -> bool:
        """Write what was folded; the position is set by :meth:`finish`."""
        held.own = await self._store.commit(held.own, writes, None)
        return True

    async def finish(self, partition: int, position: int) -> None:
        """Say where the workers read on."""
        held = self.held[partition]
        held.own = await self._store.commit(held.own, [], position)


class Rebuild:
    """One rebuild.

    Args:
        since: fold the log from this time on, ms; None is from its beginning.
        learning: whether the models are learnt anew, too; else those in force stay.
        told: called with (records folded, records to fold) now and then.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        since: int | None = None,
        learning: bool = True,
        told: Callable[[int, int], None] | None = None,
    ) -> None:
        self._settings, self._told = settings, told
        self._store = build.store(settings, patience_s=None)
        self._reader = LogReader(f"{settings.namespace}.events", build.kafka_client(settings), since=since)
        self._owned = _Owned(self._store)
        self._effects = _Effects()
        self._models = Relearnt(settings, self._store)
        self._learning = learning
        self._ingest = Ingest(
            self._store, _Silent(), self._models.replica.interner, self._effects,  # type: ignore[arg-type]
            build.fold_policy(settings), build.rules(settings), partitions=settings.partitions, clock=time.monotonic,
        )  # fmt: skip
        self._ingest.positions = self._owned  # type: ignore[assignment]
        self._result = Rebuilt(0)

    async def run(self) -> Rebuilt:
        """Build a generation up to the log's end and put it in force.

        Raises:
            SettingsError: the topic has another number of partitions than the settings say.
            StoreRefused: Redis may evict state.
            OSError: the snapshot of what was learnt could not be written; nothing was put in force.
        """
        began = time.monotonic()
        try:
            await self._begin()
            for _ in range(MOST_LAPS):
                await self._lap()
                if await self._reader.move_ends() <= NEAR:
                    break
            await self._finish()
        finally:
            await self._reader.close()
            await self._models.close()
            await self._store.close()
        self._result.seconds = time.monotonic() - began
        return self._result

    async def _begin(self) -> None:
        partitions = self._settings.partitions
        await self._reader.open()
        if self._reader.partitions != partitions:
            raise SettingsError(
                f"{self._reader.topic} has {self._reader.partitions} partitions: set FRESHET_PARTITIONS to that"
            )
        await self._store.check()
        await generations.clean(self._store)
        self._result.generation = await generations.begin(self._store, partitions)
        await self._models.replica.learn_names()
        if self._learning:
            self._learning = await self._models.begin()
            self._effects.relearnt = self._models if self._learning else None
            if not self._learning:
                log.warning("learning is frozen: the models in force stay")
        for partition in range(partitions):
            held = Held(await self._store.claim(partition), 0)
            await self._ingest.claimed(held)
            self._owned.held[partition] = held

    async def _lap(self) -> None:
        """Fold up to where the log ended when the lap began."""
        async for records in self._reader.rounds(ROUND):
            await self._fold(records)

    async def _fold(self, records: list[ConsumerRecord]) -> None:
        homes: defaultdict[int, list[Record]] = defaultdict(list)
        for record in records:
            if self._is_copy(record):
                self._result.copies += 1
                continue
            headers = tuple(record.headers or ())
            homes[self._home(record)].append(
                Record(record.offset, record.timestamp, record.key, record.value, headers)
            )
        for partition, mine in sorted(homes.items()):
            for at in range(0, len(mine), 1_000):
                part = tuple(mine[at : at + 1_000])
                await self._ingest.batch(Batch(self._reader.topic, partition, 0, 0, 0, part))
        self._result.records += len(records)
        if self._told is not None:
            self._told(self._result.records, self._result.records + self._reader.left())

    def _is_copy(self, record: ConsumerRecord) -> bool:
        """Whether it is a copy that a worker sent to another partition, of a record that is folded, too."""
        for name, value in record.headers or ():
            partition, dash, offset = value.decode("ascii", "replace").partition("-")
            if name == "rerouted" and dash and partition.isdigit() and offset.isdigit():
                begin = self._reader.begins.get(int(partition))
                return begin is not None and int(offset) >= begin
        return False

    def _home(self, record: ConsumerRecord) -> int:
        try:
            return partition_of(orjson.loads(record.value)["user_id"], self._settings.partitions)
        except (ValueError, TypeError, KeyError, AttributeError):
            return int(record.partition)  # it becomes no part of the state wherever it is looked at

    async def _finish(self) -> None:
        for partition, held in self._owned.held.items():
            await self._ingest.settle(held)
            await self._owned.finish(partition, self._reader.reached[partition])
        self._result.positions = dict(self._reader.reached)
        self._result.stats = dict(self._ingest.stats)
        if self._learning:
            self._result.snapshot = await self._models.save(self._result.generation)
        await generations.swap(self._store, learnt=self._learning)
        log.info("generation %d is in force, up to %s", self._result.generation, self._result.positions)


async def clean(settings: Settings) -> int:
    """Remove the generations that are not in force; returns how many keys went."""
    store = build.store(settings)
    try:
        return await generations.clean(store)
    finally:
        await store.close()
