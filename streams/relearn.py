"""What a rebuild learns: the models of a worker, by a worker's own code, from the events the rebuild folds.

The catalogue is heard first, versions of the model are held as the registry says. Nothing is told to anybody: the
models go into a snapshot of the new lineage, which workers and API take over together with the state.
"""

from __future__ import annotations

import asyncio
import logging

from online_models.learner import Unlimited
from online_models.snapshot_bucket import open_snapshots
from online_models.state import Outcome
from online_models.store import Store
from streams import build
from streams.clock import wall_ms
from streams.decisions import Decisions
from streams.log_reader import LogReader
from streams.settings import Settings

log = logging.getLogger(__name__)

CATALOGUE_AT_ONCE = 500


class Relearnt:
    """Models that learn beside those in force; as large as a worker's, however long the log."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._client = build.kafka_client(settings)
        self.replica, recommender, _ = build.learnt(settings, "rebuild", store)
        if settings.order_learning_share > 0.0:
            self.replica.learner.order_budget = (
                Unlimited()
            )  # by what is in the log, not by how busy the machine is
        self._decisions = Decisions(settings, self._client, store, recommender)
        self._catalog = LogReader(f"{settings.namespace}.catalog", self._client)
        self._from: dict[str, int] = {}

    async def begin(self) -> bool:
        """Hold what is to learn and hear the catalogue, names known; False where learning is frozen."""
        await self._decisions.log.catch_up()
        if self.replica.learner.frozen:
            return False
        await self._catalog.open()
        await self._hear()
        return True

    async def _hear(self) -> None:
        async for records in self._catalog.rounds(CATALOGUE_AT_ONCE):
            await self.replica.hear_catalog(records)
        self.replica.rejected.clear()  # they were dead letters when they were first heard

    def learn(self, outcome: Outcome) -> None:
        """From one committed micro-batch, as a worker does; nobody is told."""
        self.replica.learner.learn(outcome)
        self.replica.learner.take()

    async def save(self, lineage: int) -> str:
        """Write the snapshot that goes into force; deltas told from now on are to be heard after it.

        Raises:
            OSError: it could not be written.
        """
        deltas = LogReader(f"{self._settings.namespace}.model-deltas", self._client)
        try:
            await deltas.open()
        finally:
            await deltas.close()
        self.replica.lineage = lineage
        image = self.replica.image(wall_ms(), deltas.ends)
        snapshots = open_snapshots(self._settings.snapshot_dir, keep=self._settings.snapshot_keep)
        return await asyncio.to_thread(image.write, snapshots)

    async def close(self) -> None:
        """Disconnect."""
        await self._catalog.close()
