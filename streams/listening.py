"""What a process that answers and folds nothing must hear: names, models, catalogue, the registry's decisions.

An API replica is one, and the process that makes a worker's slates. None keeps anything of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from online_models.snapshot_bucket import open_snapshots
from online_models.store import Store
from streams import build
from streams.broadcast import BroadcastReader
from streams.decisions import Decisions
from streams.lineage import Lineage
from streams.settings import Settings


class Listening:
    """The learnt state of such a process and how it keeps up with the workers.

    Args:
        name: of the process.
        store: for names, generations and the registry; one that waits for Redis as long as it takes.
    """

    def __init__(self, settings: Settings, name: str, store: Store) -> None:
        client = build.kafka_client(settings)
        self._store, self._partitions = store, settings.partitions
        self.replica, self.recommender, _ = build.learnt(settings, name, store, watching=False)
        snapshots = open_snapshots(settings.snapshot_dir, keep=settings.snapshot_keep)
        self._catalog = BroadcastReader(f"{settings.namespace}.catalog", client, self.replica.hear_catalog)
        self._deltas = BroadcastReader(f"{settings.namespace}.model-deltas", client, self.replica.hear_deltas)
        self._lineage = Lineage(self.replica, snapshots, store, self._catalog, self._deltas)
        self.decisions = Decisions(settings, client, store, self.recommender)

    async def begin(self) -> None:
        """Names, decisions and the newest snapshot, in this order, before anything is heard.

        Raises:
            StoreRefused: the store is of another make or partition count, or contradicts the snapshot.
        """
        await self._store.check(self._partitions)
        await self.replica.learn_names()
        await self.decisions.log.catch_up()
        await self._lineage.begin()

    def running(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs for ever once begun."""
        return self._catalog.run(), self._deltas.run(), *self.decisions.running()

    async def heard(self) -> None:
        """Return once the catalogue and what workers have learnt are heard to their ends."""
        await asyncio.gather(self._catalog.caught_up.wait(), self._deltas.caught_up.wait())

    async def follow(self) -> None:
        """Go over to the generation in force, and to models that were learnt anew; to be asked now and then.

        Raises:
            StoreRefused: the store is not what it was.
        """
        await self._store.follow()
        await self._lineage.follow()
