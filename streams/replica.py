"""The learnt state of one process and how it keeps up with the others: snapshot, catalogue, deltas.

A worker and an API replica hold the same thing; a worker also learns from its own partitions and says so. Each delta
is applied once: what each worker has said is numbered, and a number already heard is passed over, so that a restart
may read the topic again from any place.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from aiokafka import ConsumerRecord

from online_models import deltas
from online_models.base import Arrays
from online_models.catalog import Catalog
from online_models.counters_wire import split
from online_models.deltas import Delta
from online_models.errors import DeltaRefused
from online_models.interning import Interner
from online_models.learner import Learner
from online_models.snapshot import Snapshot, Snapshots
from online_models.store import Store
from streams import validation
from streams.names import give_back, intern, packed, unpacked
from streams.validation import Rejected, Rules

log = logging.getLogger(__name__)

MOST_IN_ONE = 500
"""Interactions in one delta; one takes up to 0.85 KB on the wire, and a topic takes records of up to 1 MiB."""
COUNTS_IN_ONE = 2_000
"""Counters of each kind in one delta; the four kinds take 0.12 KB."""
PART = 16
"""Interactions a process that answers requests learns from in one go: a millisecond."""
PAUSE_S = 0.002
"""Between two parts, for requests that wait."""
BEHIND = 3
"""Deltas still to be heard from which on nobody pauses."""


def parts(delta: Delta, most: int | None) -> list[Delta]:
    """A delta in parts of so many interactions, counters in the first, all else that was learnt in the last.

    >>> delta = Delta("w", 1, (None,) * 5, {"counters": {}, "click": {}})
    >>> [(len(part.interactions), list(part.learners)) for part in parts(delta, 2)]
    [(2, ['counters']), (2, []), (1, ['click'])]
    >>> parts(delta, None) == [delta]
    True
    """
    if most is None or len(delta.interactions) <= most:
        return [delta]
    begins = range(0, len(delta.interactions), most)
    cut = [replace(delta, interactions=delta.interactions[k : k + most], learners={}) for k in begins]
    learners = dict(delta.learners)
    if "counters" in learners:
        cut[0] = replace(cut[0], learners={"counters": learners.pop("counters")})
    cut[-1] = replace(cut[-1], learners=learners)
    return cut


@dataclass(frozen=True, slots=True)
class Image:
    """Learnt state at one moment, ready to be written."""

    components: Mapping[str, Arrays]
    created: int
    positions: Mapping[str, int]
    schema: str
    notes: Mapping[str, Any]

    def write(self, store: Snapshots) -> str:
        """Save it; returns its version."""
        return store.save(
            self.components,
            created=self.created,
            positions=self.positions,
            schema=self.schema,
            notes=self.notes,
        )


class Replica:
    """Models, catalogue and names of one process.

    Args:
        worker: how this process signs its deltas; new at each start.
        at_once: interactions of a delta learnt from in one go, before what else waits has its turn; None for all of
            them, so that each snapshot holds a delta whole or not at all.
    """

    def __init__(
        self, worker: str, learner: Learner, catalog: Catalog, interner: Interner, store: Store, rules: Rules,
        *, at_once: int | None = None,
    ) -> None:  # fmt: skip
        self.worker, self._at_once = worker, at_once
        self.learner, self.catalog, self.interner = learner, catalog, interner
        self.stats: Counter[str] = Counter()
        self.rejected: list[tuple[Rejected, ConsumerRecord]] = []
        self.lineage = 0
        self._store, self._rules = store, rules
        self._heard: dict[str, int] = {}
        self.told: dict[int, int] = {}  # partition -> last commit whose learning was told, by whomever
        self._said = 0
        self._learning = asyncio.Lock()

    # ------------------------------------------------------------------ names and catalogue

    async def learn_names(self) -> None:
        """Fetch the names of items interned since last asked."""
        names = await self._store.interned()
        known = len(self.interner)
        self.interner.add([(name, known + k) for k, name in enumerate(names[known:])])

    async def hear_catalog(self, records: Sequence[ConsumerRecord]) -> None:
        """Take catalogue entries in; a null value retires the item its key names."""
        entries = [(record, self._entry(record)) for record in records]
        named = {item_id for _, (item_id, _) in entries if item_id}
        names = sorted(item_id for item_id in named if self.interner.get(item_id) is None)
        if names:
            numbers = await intern(self._store, self.interner, names)
            self.interner.add(list(zip(names, numbers, strict=True)))
        for record, (item_id, entry) in entries:
            number = self.interner.get(item_id)
            if number is not None and item_id:
                self._take(number, entry, record.timestamp)

    def _entry(self, record: ConsumerRecord) -> tuple[str, Any]:
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            return key, None
        entry = validation.item(record.value, self._rules)
        if isinstance(entry, Rejected):
            self.rejected.append((entry, record))
            self.stats["catalog_rejected"] += 1
            return "", entry
        return entry.item_id, entry

    def _take(self, number: int, entry: Any, ts: int) -> None:
        if entry is None:
            self.catalog.retire(number)
            self.learner.model.retire(number)
            self.stats["catalog_retired"] += 1
            return
        self.catalog.upsert(number, entry, ts)
        self.learner.note_item(number, entry, entry.created_at or entry.ts or ts)
        self.stats["catalog_items"] += 1

    # ------------------------------------------------------------------ deltas

    def say(self, spans: Mapping[int, tuple[int, int, int]], *, last: bool = False) -> list[Delta]:
        """What was learnt here since last asked, signed and numbered, in parts that fit a record; may be nothing.

        Args:
            spans: the commits it covers.
            last: nothing will be said after it, so the commits are told even where they taught nothing.
        """
        interactions, learners = self.learner.take()
        counters = split(learners.pop("counters"), COUNTS_IN_ONE) if "counters" in learners else []
        pieces = [interactions[k : k + MOST_IN_ONE] for k in range(0, len(interactions), MOST_IN_ONE)]
        said = [
            Delta(
                self.worker,
                self._said + k,
                piece,
                {"counters": counts} if counts else {},
                lineage=self.lineage,
            )
            for k, (piece, counts) in enumerate(zip_longest(pieces, counters, fillvalue=()), start=1)
        ]
        if (learners or (last and spans)) and not said:
            said = [Delta(self.worker, self._said + 1, lineage=self.lineage)]
        if said:
            said[-1] = replace(said[-1], learners={**said[-1].learners, **learners}, spans=dict(spans))
            self._covered(spans)
        self._said += len(said)
        self._heard[self.worker] = self._said
        return said

    def _covered(self, spans: Mapping[int, tuple[int, int, int]]) -> None:
        for partition, (_, _, last) in spans.items():
            self.told[partition] = max(last, self.told.get(partition, 0))

    async def hear_deltas(self, records: Sequence[ConsumerRecord]) -> None:
        """Apply what other workers learnt, each delta once."""
        for left, record in zip(range(len(records) - 1, -1, -1), records, strict=True):
            try:
                delta = deltas.decode(record.value or b"")
            except DeltaRefused as error:
                self.stats["deltas_refused"] += 1
                log.warning("delta at %s-%d refused: %s", record.topic, record.offset, error)
                continue
            await self._hear(delta, 0.0 if left >= BEHIND else PAUSE_S)

    async def _hear(self, delta: Delta, pause_s: float) -> None:
        if delta.lineage != self.lineage:
            self.stats["deltas_of_other_lineage"] += 1
            return
        if delta.number <= self._heard.get(delta.worker, 0):
            return
        newest = max((x.item for x in delta.interactions), default=-1)
        if newest >= len(self.interner):
            await self.learn_names()
        if delta.lineage != self.lineage:  # others were restored while names were asked for
            return
        self._heard[delta.worker] = delta.number
        try:
            for part in parts(delta, self._at_once):
                if delta.lineage != self.lineage:  # as above, between two parts
                    return
                self.learner.hear(part)
                await asyncio.sleep(0 if self._at_once is None else pause_s)
            self.stats["deltas_heard"] += 1
            self._covered(delta.spans)
        except DeltaRefused as error:
            self.stats["deltas_refused"] += 1
            log.warning("delta %d of %s refused: %s", delta.number, delta.worker, error)

    # ------------------------------------------------------------------ snapshots

    def image(self, created: int, positions: Mapping[int, int]) -> Image:
        """A copy of all learnt state as of now; ``positions`` are those of the deltas topic."""
        return Image(
            components={**self.learner.components(), "names": packed(self.interner)},
            created=created,
            positions={f"model-deltas-{p}": at for p, at in positions.items()},
            schema=self.learner.schema,
            notes={
                "heard": dict(self._heard),
                "told": {str(partition): last for partition, last in self.told.items()},
                "worker": self.worker,
                "lineage": self.lineage,
            },
        )

    async def recover(self, snapshot: Snapshot) -> dict[int, int]:
        """Restore a snapshot, after the store was given back the item names that it has lost since.

        Raises:
            StoreRefused: the store has given numbers the snapshot knows to other items.
        """
        names = unpacked(snapshot.components.get("names", {}))
        if any(name and self.interner.name(number) != name for number, name in enumerate(names)):
            log.error("Redis has lost item names that snapshot %s holds", snapshot.manifest.version)
            await give_back(self._store, names)
            await self.learn_names()
        return self.restore(snapshot)

    def exchange(self, snapshot: Snapshot, lineage: int) -> dict[int, int]:
        """Take over models that were learnt anew; what was learnt and not told is learnt by them, too. As `restore`."""
        positions = self.restore(snapshot)
        self.lineage = lineage
        self.learner.take()
        return positions

    def restore(self, snapshot: Snapshot) -> dict[int, int]:
        """Take a snapshot over; returns the positions of the deltas topic to hear on from.

        One of another feature schema is passed over: what is kept of the deltas is heard from its beginning.
        """
        if snapshot.manifest.schema != self.learner.schema:
            log.warning("snapshot %s is of another feature schema: passed over", snapshot.manifest.version)
            return {}
        self.learner.load(snapshot.components)
        heard = snapshot.manifest.notes.get("heard", {})
        self._heard = {str(worker): int(number) for worker, number in heard.items()}
        self.told.clear()
        self._covered(
            {int(p): (0, 0, int(last)) for p, last in snapshot.manifest.notes.get("told", {}).items()}
        )
        positions = snapshot.manifest.positions
        return {
            int(name.rsplit("-", 1)[1]): at
            for name, at in positions.items()
            if name.startswith("model-deltas-")
        }
