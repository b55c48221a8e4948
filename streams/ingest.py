"""The fold agent's steps: validate, load, fold, commit, then learn. One micro-batch of one partition at a time.

What must not be lost (dead letters, receipts, rerouted records) is produced and acknowledged BEFORE the commit; what
is learnt and published comes after it. A refused commit drops the partition's memory and asks for a seek.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson
from online_models.interning import Interner

from online_models.errors import Fenced, PositionMoved, StoreUnavailable
from online_models.events import Exposure, Identify, Impression, UserEvent
from online_models.history import UserRecord, decode
from online_models.state import FoldPolicy, Outcome, PartitionFold, Timed
from online_models.store import Ownership, Store
from online_models.store_writes import Write
from online_models.userstate import UserKeys
from streams import validation
from streams.outputs import Message, Outputs, dead_letter
from streams.partitioner import partition_of
from streams.transport import Batch, Record
from streams.validation import Rejected, Rules

log = logging.getLogger(__name__)


class Effects(Protocol):
    """What follows a commit: learning and publishing. Called on the loop, must not block for long."""

    def committed(self, partition: int, fold: PartitionFold, outcome: Outcome, appended: int) -> None:
        """A micro-batch is safe; ``appended`` is when its newest record reached the log, ms."""

    def adopted(self, partition: int, fold: PartitionFold, owed: Sequence[tuple[str, int]]) -> None:
        """A partition was taken over, with users that are still owed a slate."""

    def dropped(self, partition: int) -> None:
        """A partition is gone."""


@dataclass(slots=True)
class Owned:
    """A partition this worker owns."""

    own: Ownership
    fold: PartitionFold
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    appended: int = 0


@dataclass(slots=True)
class Sorted:
    """A batch after the boundary."""

    events: list[Timed] = field(default_factory=list)
    before: list[Message] = field(default_factory=list)  # to be acknowledged before the commit
    stats: Counter[str] = field(default_factory=Counter)


class Ingest:
    """Owns the partitions assigned to this worker and folds what comes in.

    Args:
        topic: the full name of the events topic.
        partitions: how many it has.
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
        topic: str,
        partitions: int,
        seek: Callable[[int, int | None], None],
    ) -> None:
        self.store, self.outputs, self.interner, self.effects = store, outputs, interner, effects
        self.policy, self.rules = policy, rules
        self.topic, self.partitions = topic, partitions
        self._seek = seek
        self.owned: dict[int, Owned] = {}
        self.stats: Counter[str] = Counter()

    # ------------------------------------------------------------------ assignment

    async def position_for(self, partition: int) -> int | None:
        """Claim a partition on assignment; where to read on, None for its beginning."""
        own = await self.store.claim(partition)
        await self._adopt(own)
        return own.next

    async def _adopt(self, own: Ownership) -> None:
        """Take over what Redis holds of a partition, and forget what was held of it here."""
        prefix = self.store.prefix(own.partition)
        due, watermark, dirty = await self.store.read(
            [
                ("ZRANGE", f"{prefix}due", 0, -1, "WITHSCORES"),
                ("GET", f"{prefix}watermark"),
                ("ZRANGE", f"{prefix}dirty", 0, -1, "WITHSCORES"),
            ]
        )
        self.revoke(own.partition)
        fold = PartitionFold(prefix, self.policy)
        fold.restore(pairs(due), int(watermark or 0))
        self.owned[own.partition] = Owned(own, fold)
        self.effects.adopted(own.partition, fold, [(user.decode(), int(at)) for user, at in pairs(dirty)])

    def revoke(self, partition: int) -> None:
        """Forget a partition that another worker will own."""
        if self.owned.pop(partition, None) is not None:
            self.effects.dropped(partition)

    # ------------------------------------------------------------------ one batch

    async def batch(self, batch: Batch) -> None:
        """Fold one fetch of one partition; returns when it is committed or given up for a seek."""
        held = self.owned.get(batch.partition)
        if held is None:
            self.stats["batches_not_owned"] += 1
            return
        async with held.lock:
            if held.own.next is not None and batch.from_position != held.own.next:
                self.stats["position_gaps"] += 1
                self._seek(batch.partition, held.own.next)
                return
            appended = max((r.timestamp for r in batch.records), default=0)
            held.appended = max(held.appended, appended)
            await self._safely(batch, held)

    async def _safely(self, batch: Batch, held: Owned) -> None:
        """Fold a batch; one that fails by itself is halved down to the record at fault, a dead letter."""
        try:
            await self._commit(batch.partition, held, self.sort(batch), batch.next_position)
        except Fenced:
            self.revoke(batch.partition)
        except (StoreUnavailable, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("%s-%d from %d: the fold failed", batch.topic, batch.partition, batch.from_position)
            self.stats["folds_failed"] += 1
            held = await self._reread(held)
            if len(batch.records) > 1:
                await self._halves(batch, held)
            else:
                await self._give_up(batch, held, error)

    async def _halves(self, batch: Batch, held: Owned) -> None:
        middle = len(batch.records) // 2
        cut = batch.records[middle].offset
        first = replace(batch, records=batch.records[:middle], next_position=cut)
        second = replace(batch, records=batch.records[middle:], from_position=cut)
        for half in (first, second):
            held = self.owned.get(batch.partition, held)
            if held.own.next is None or held.own.next == half.from_position or half is first:
                await self._safely(half, held)

    async def _give_up(self, batch: Batch, held: Owned, error: Exception) -> None:
        """The one record at fault becomes a dead letter, and the position passes it."""
        sorted_ = Sorted()
        why = Rejected("poison", f"folding it fails: {type(error).__name__}: {error}")
        for record in batch.records:
            self._reject(sorted_, batch, record, why)
        await self._commit(batch.partition, held, sorted_, batch.next_position)

    async def _reread(self, held: Owned) -> Owned:
        own = await self.store.reread(held.own)
        lock = held.lock
        await self._adopt(own)
        again = self.owned[own.partition]
        again.lock, again.appended = lock, held.appended
        return again

    async def tick(self, partition: int, watermark: int) -> None:
        """Close windows when the log is quiet; the position does not move."""
        held = self.owned.get(partition)
        if held is None or held.own.next is None:
            return
        due = held.fold.next_due
        if not held.fold.has_debts and (due is None or due > watermark):
            return
        async with held.lock:
            if self.owned.get(partition) is held:
                await self._commit(partition, held, Sorted(), held.own.next, watermark)

    def sort(self, batch: Batch) -> Sorted:
        """Validate a batch: events to fold, and what must go elsewhere first."""
        out = Sorted()
        for record in batch.records:
            event = validation.event(record.value, record.timestamp, self.rules)
            if isinstance(event, Rejected):
                self._reject(out, batch, record, event)
            elif (home := partition_of(event.user_id, self.partitions)) != batch.partition:
                headers = (("rerouted", f"{batch.partition}-{record.offset}".encode()),)
                out.before.append(Message("events", event.user_id, record.value, home, headers))
                out.stats["rerouted"] += 1
            else:
                out.events.append(Timed(event, record.timestamp))
        out.stats["events"] += len(out.events)
        return out

    def _reject(self, out: Sorted, batch: Batch, record: Record, why: Rejected) -> None:
        out.before.append(
            dead_letter(why, batch.topic, batch.partition, record.offset, record.key, record.value)
        )
        out.stats["dead_letters"] += 1
        out.stats[f"dead_letters_{why.reason}"] += 1

    async def _commit(
        self, partition: int, held: Owned, batch: Sorted, next_position: int, watermark: int | None = None
    ) -> None:
        mark = held.fold.expected_watermark(batch.events)
        mark = max(mark, watermark or 0)
        await self._load(held.fold, batch.events, mark)
        ints = await self.intern(batch.events)
        merged = await self._merged(batch.events)
        outcome = held.fold.fold(batch.events, ints, mark, merged)
        before = batch.before + [
            Message("deletion-receipts", str(r["user_id"]), orjson.dumps(r)) for r in outcome.receipts
        ]
        if before:
            await self.outputs.deliver(before)
        try:
            held.own = await self.store.commit(held.own, outcome.writes, next_position)
        except (Fenced, PositionMoved) as error:
            await self._refused(partition, held, error)
            return
        self.stats.update(batch.stats)
        self.stats.update(outcome.stats)
        self.stats["commits"] += 1
        self._after(partition, held, outcome)

    async def _refused(self, partition: int, held: Owned, error: Exception) -> None:
        self.stats["commits_refused"] += 1
        log.warning("partition %d: commit refused: %s", partition, error)
        if isinstance(error, Fenced):
            self.revoke(partition)
            return
        again = await self._reread(held)
        self._seek(partition, again.own.next)

    def _after(self, partition: int, held: Owned, outcome: Outcome) -> None:
        """Learn and publish; the batch is safe, so a fault here must not undo it."""
        try:
            self.effects.committed(partition, held.fold, outcome, held.appended)
        except Exception:
            self.stats["effects_failed"] += 1
            log.exception("partition %d: learning from a committed batch failed", partition)

    # ------------------------------------------------------------------ what a fold needs

    async def _load(self, fold: PartitionFold, events: Sequence[Timed], watermark: int) -> None:
        missing = fold.missing(events, watermark)
        if not missing:
            return
        commands: list[Write] = []
        for user_id in missing:
            commands += UserKeys.of(fold.prefix, user_id).reads()
        answers = await self.store.read(commands)
        for k, user_id in enumerate(missing):
            record, pending, ring, impressed = answers[4 * k : 4 * k + 4]
            fold.admit(user_id, (record, as_map(pending), ring, as_map(impressed)))

    async def intern(self, events: Sequence[Timed]) -> dict[str, int]:
        """The interned ids of all items named; unknown ones are given theirs by Redis, once."""
        names = {name for timed in events for name in items_of(timed.event)}
        unknown = sorted(name for name in names if self.interner.get(name) is None)
        if unknown:
            numbers = await self.store.intern(unknown)
            self.interner.add(list(zip(unknown, numbers, strict=True)))
        return {name: number for name in names if (number := self.interner.get(name)) is not None}

    async def _merged(self, events: Sequence[Timed]) -> dict[str, UserRecord]:
        """Records of anonymous users that are to be merged; read from whichever partition holds them."""
        ids = sorted({t.event.anonymous_id for t in events if isinstance(t.event, Identify)})
        prefixes = [self.store.prefix(partition_of(user_id, self.partitions)) for user_id in ids]
        keys = [UserKeys.of(prefix, user_id) for prefix, user_id in zip(prefixes, ids, strict=True)]
        raws = [await self.store.read([("GET", key.record)]) for key in keys]
        return {user_id: decode(raw) for user_id, (raw,) in zip(ids, raws, strict=True) if raw}


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
