"""Which models a process holds: those of the lineage in force, exchanged when a rebuild has learnt them anew.

Whoever starts takes the newest snapshot of the lineage in force and hears the deltas of that lineage after it. Whoever
runs while a rebuild puts its own in force does the same at that moment; what the old models have learnt since is not
added to the new ones, which learn it again from the log.
"""

from __future__ import annotations

import asyncio
import logging

from online_models.snapshot import Snapshots
from online_models.store import Store
from streams.broadcast import BroadcastReader
from streams.replica import Replica

log = logging.getLogger(__name__)


class Lineage:
    """Keeps the models of one process those of the lineage in force."""

    def __init__(
        self, replica: Replica, snapshots: Snapshots, store: Store, catalog: BroadcastReader, deltas: BroadcastReader
    ) -> None:  # fmt: skip
        self._replica, self._snapshots, self._store = replica, snapshots, store
        self._catalog, self._deltas = catalog, deltas

    async def begin(self) -> None:
        """Restore what was learnt, before anything is heard.

        Raises:
            StoreRefused: the store has given numbers the snapshot knows to other items.
        """
        self._replica.lineage = await self._store.lineage()
        snapshot = await asyncio.to_thread(self._snapshots.latest, self._replica.lineage)
        if snapshot is not None:
            self._deltas.positions.update(await self._replica.recover(snapshot))
            log.info("restored snapshot %s", snapshot.manifest.version)

    async def follow(self) -> bool:
        """Go over to models that were learnt anew; whether there are any."""
        lineage = await self._store.lineage()
        if lineage == self._replica.lineage:
            return False
        await self._replica.learn_names()
        snapshot = await asyncio.to_thread(self._snapshots.latest, lineage)
        if snapshot is None:
            log.error(
                "there is no snapshot of what rebuild %d has learnt: the models stay as they were", lineage
            )
            self._replica.lineage = lineage
            return False
        self._deltas.rewind(self._replica.exchange(snapshot, lineage))
        self._catalog.rewind({})  # items that came since, as at a start
        log.info("models of rebuild %d: snapshot %s", lineage, snapshot.manifest.version)
        return True
