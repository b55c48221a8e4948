"""The fold agent's steps: validate, load, fold, commit, then learn. One micro-batch of one partition at a time.

What must not be lost (dead letters, receipts, rerouted records) is produced and acknowledged BEFORE the commit; what
is learnt and published comes after it. A refused commit drops the partition's memory and asks for a seek.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson

from online_models.errors import StoreUnavailable
from online_models.events import Exposure, Identify, Impression, UserEvent
from online_models.fold_policy import FoldPolicy
from online_models.history import UserRecord, decode
from online_models.interning import Interner
from online_models.state import Outcome, PartitionFold, Timed
from online_models.store import Store
from online_models.userstate import UserKeys
from streams import validation
from streams.names import intern
from streams.outputs import Message, Outputs, carried, dead_letter
from streams.partitioner import partition_of
from streams.positions import Held, Positions
from streams.transport import Batch, Record
from streams.validation import Rejected, Rules

log = logging.getLogger(__name__)


class Effects(Protocol):
    """What follows a commit: learning and publishing. Called on the loop, must not block for long."""

    def committed(self, held: Held, outcome: Outcome) -> None:
        """A micro-batch is safe."""

    def adopted(self, partition: int, fold: PartitionFold, owed: Mapping[str, int], seq: int) -> None:
        """A partition was taken over after ``seq`` commits; users still owed a slate, with the time they acted.

        ``fold.owing`` says why.
        """

    def dropped(self, partition: int) -> None:
        """A partition is gone."""


@dataclass(slots=True)
class Partition:
    """What this worker holds of a partition it owns; it dies with the hold."""

    fold: PartitionFold
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    appended: int = 0  # when the newest record folded reached the log, ms
    log_end: int = 0
    last_batch_s: float = 0.0  # monotonic


@dataclass(slots=True)
class Sorted:
    """A batch after the boundary."""

    events: list[Timed] = field(default_factory=list)
    before: list[Message] = field(default_factory=list)  # to be acknowledged before the commit
    stats: Counter[str] = field(default_factory=Counter)


class Ingest:
    """Folds what comes in of the partitions this worker owns.

    Args:
        positions: which partitions are owned, and how to commit under a hold.
        partitions: how many the events topic has.
        clock: monotonic, s.
    """

    def __init__(
        self,
        store: Store,
        outputs: Outputs,
        interner: Interner,
        effects: Effects,
        policy: FoldPolicy,
        rules: Rules,
        *,
        partitions: int,
        clock: Callable[[], float],
    ) -> None:
        self.store, self.outputs, self.interner, self.effects = store, outputs, interner, effects
        self.policy, self.rules = policy, rules
        self.partitions = partitions
        self.positions: Positions | None = None  # set by the wiring: the two know each other
        self.stats: Counter[str] = Counter()
        self._clock = clock

    # ------------------------------------------------------------------ holds

    @property
    def _owned(self) -> Positions:
        if self.positions is None:
            raise RuntimeError("positions must be set before the first batch")
        return self.positions

    async def claimed(self, held: Held) -> None:
        """A partition was assigned: take over what Redis holds of it."""
        owed = await self._read_partition(held)
        self.effects.adopted(held.partition, held.state.fold, owed, held.own.seq)

    def dropped(self, held: Held) -> None:
        """A hold has ended."""
        self.effects.dropped(held.partition)

    async def _read_partition(self, held: Held) -> dict[str, int]:
        """Begin anew from what is stored; returns who is owed a slate, and when they acted."""
        prefix = self.store.prefix(held.partition, held.own.generation)
        due, watermark, dirty = await self.store.read(
            [
                ("ZRANGE", f"{prefix}due", 0, -1, "WITHSCORES"),
                ("GET", f"{prefix}watermark"),
                ("ZRANGE", f"{prefix}dirty", 0, -1, "WITHSCORES"),
            ]
        )
        owed = {user.decode(): int(at) for user, at in pairs(dirty)}
        known = held.state.fold.owing if held.state is not None else {}
        fold = PartitionFold(prefix, self.policy)
        fold.restore(
            pairs(due),
            int(watermark or 0),
            {user: known.get(user) or f"{held.partition}-{at}-{user}" for user, at in owed.items()},
        )
        if held.state is None:
            held.state = Partition(fold, last_batch_s=self._clock())
        held.state.fold = fold
        return owed

    # ------------------------------------------------------------------ one batch

    async def batch(self, batch: Batch) -> None:
        """Fold one fetch of one partition; returns when it is committed or given up."""
        held = self._owned.admit(batch)
        if held is None:
            return
        part: Partition = held.state
        async with part.lock:
            part.appended = max((r.timestamp for r in batch.records), default=part.appended)
            part.log_end, part.last_batch_s = batch.log_end, self._clock()
            await self._safely(batch, held)

    async def tick(self, held: Held, watermark: int) -> None:
        """Close windows and settle debts while the log is quiet; the position does not move."""
        part: Partition = held.state
        due = part.fold.next_due
        if held.own.next is None or not (part.fold.has_debts or (due is not None and due <= watermark)):
            return
        async with part.lock:
            await self._commit(held, Sorted(), held.own.next, watermark)

    async def settle(self, held: Held) -> None:
        """Write the debts that are settled, whatever the position."""
        async with held.state.lock:
            await self._commit(held, Sorted(), held.own.next or 0)

    async def _safely(self, batch: Batch, held: Held) -> bool:
        """Fold a batch; one that fails by itself is halved down to the record at fault, a dead letter.

        False when the hold is gone.
        """
        try:
            return await self._commit(held, self.sort(batch, held.state.fold), batch.next_position)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("%s-%d from %d: the fold failed", batch.topic, batch.partition, batch.from_position)
            self.stats["folds_failed"] += 1
            await self._read_partition(held)
            if len(batch.records) > 1:
                return await self._halves(batch, held)
            return await self._give_up(batch, held, error)

    async def _halves(self, batch: Batch, held: Held) -> bool:
        middle = len(batch.records) // 2
        cut = batch.records[middle].offset
        first = replace(batch, records=batch.records[:middle], next_position=cut)
        second = replace(batch, records=batch.records[middle:], from_position=cut)
        return await self._safely(first, held) and await self._safely(second, held)

    async def _give_up(self, batch: Batch, held: Held, error: Exception) -> bool:
        """The one record at fault becomes a dead letter, and the position passes it."""
        out = Sorted()
        why = Rejected("poison", f"folding it fails: {type(error).__name__}: {error}")
        for record in batch.records:
            self._reject(out, batch, record, why)
        return await self._commit(held, out, batch.next_position)

    def sort(self, batch: Batch, fold: PartitionFold) -> Sorted:
        """Validate a batch: events to fold, and what must go elsewhere first."""
        out = Sorted()
        at_home = fold.users  # whoever is held was found to belong here
        for record in batch.records:
            event = validation.event(record.value, record.timestamp, self.rules)
            if isinstance(event, Rejected):
                self._reject(out, batch, record, event)
            elif event.user_id in at_home or self._home(event) == batch.partition:
                out.events.append(Timed(event, record.timestamp))
            else:
                place = f"{batch.partition}-{record.offset}".encode()
                headers = (("rerouted", place), *carried(record.headers))
                out.before.append(Message("events", event.user_id, record.value, self._home(event), headers))
                out.stats["rerouted"] += 1
        out.stats["events"] += len(out.events)
        return out

    def _home(self, event: UserEvent) -> int:
        return partition_of(event.user_id, self.partitions)

    def _reject(self, out: Sorted, batch: Batch, record: Record, why: Rejected) -> None:
        out.before.append(
            dead_letter(
                why, batch.topic, batch.partition, record.offset, record.key, record.value, record.headers
            )
        )
        out.stats["dead_letters"] += 1
        out.stats[f"dead_letters_{why.reason}"] += 1

    async def _commit(self, held: Held, batch: Sorted, next_position: int, watermark: int = 0) -> bool:
        """Fold, produce what must come first, commit; False when the commit was refused."""
        fold: PartitionFold = held.state.fold
        mark = max(fold.expected_watermark(batch.events), watermark)
        await self._load(fold, batch.events, mark)
        ints = await self.intern(batch.events)
        outcome = fold.fold(batch.events, ints, mark, await self._merged(batch.events))
        before = batch.before + _receipts(outcome)
        if before:
            await self.outputs.deliver(before)
        if not await self._owned.commit(held, outcome.writes, next_position):
            self.stats["commits_refused"] += 1
            return False
        self.stats.update(batch.stats)
        self.stats.update(outcome.stats)
        self.stats["commits"] += 1
        self._after(held, outcome)
        return True

    def _after(self, held: Held, outcome: Outcome) -> None:
        """Learn and publish; the batch is safe, so a fault here must not undo it."""
        try:
            self.effects.committed(held, outcome)
        except Exception:
            self.stats["effects_failed"] += 1
            log.exception("partition %d: learning from a committed batch failed", held.partition)

    # ------------------------------------------------------------------ what a fold needs

    async def _load(self, fold: PartitionFold, events: Sequence[Timed], watermark: int) -> None:
        missing = fold.missing(events, watermark)
        if not missing:
            return
        commands: list[tuple[str, str]] = []
        for user_id in missing:
            commands += UserKeys.of(fold.prefix, user_id).reads()
        answers = await self.store.read_many(commands)
        for k, user_id in enumerate(missing):
            record, pending, ring, impressed = answers[4 * k : 4 * k + 4]
            fold.admit(user_id, (record, as_map(pending), ring, as_map(impressed)))

    async def intern(self, events: Sequence[Timed]) -> dict[str, int]:
        """The interned ids of all items named; unknown ones are given theirs by Redis, once."""
        names = {name for timed in events for name in items_of(timed.event)}
        known = self.interner.known(names)
        if len(known) == len(names):
            return known
        unknown = sorted(names - known.keys())
        numbers = await intern(self.store, self.interner, unknown)
        self.interner.add(list(zip(unknown, numbers, strict=True)))
        return self.interner.known(names)

    async def _merged(self, events: Sequence[Timed]) -> dict[str, UserRecord]:
        """Records of anonymous users that are to be merged; read from whichever partition holds them."""
        ids = sorted({t.event.anonymous_id for t in events if isinstance(t.event, Identify)})
        prefixes = [self.store.prefix(partition_of(user_id, self.partitions)) for user_id in ids]
        keys = [UserKeys.of(prefix, user_id) for prefix, user_id in zip(prefixes, ids, strict=True)]
        raws = [await self.store.read([("GET", key.record)]) for key in keys]
        return {user_id: decode(raw) for user_id, (raw,) in zip(ids, raws, strict=True) if raw}


def _receipts(outcome: Outcome) -> list[Message]:
    """Told before the commit, at least once."""
    return [Message("deletion-receipts", str(r["user_id"]), orjson.dumps(r)) for r in outcome.receipts]


def items_of(event: UserEvent) -> list[str]:
    """The items an event names."""
    if isinstance(event, Impression | Exposure):
        return [slot.item_id for slot in event.items]
    item_id = getattr(event, "item_id", None)
    return [item_id] if item_id is not None else []


def pairs(answer: object) -> list[tuple[bytes, float]]:
    """A WITHSCORES answer as pairs, whether the client made pairs of it or not."""
    rows = list(answer) if isinstance(answer, list | tuple) else []
    if rows and isinstance(rows[0], list | tuple):
        return [(row[0], float(row[1])) for row in rows]
    return [(rows[k], float(rows[k + 1])) for k in range(0, len(rows), 2)]


def as_map(answer: object) -> dict[bytes, bytes]:
    """An HGETALL answer as a dict, whether the client made one of it or not."""
    if isinstance(answer, dict):
        return answer
    rows = list(answer) if isinstance(answer, list | tuple) else []
    return {rows[k]: rows[k + 1] for k in range(0, len(rows), 2)}
