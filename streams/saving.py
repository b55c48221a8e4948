"""What a worker has learnt is saved: regularly, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from online_models.snapshot import Snapshots
from streams.broadcast import BroadcastReader
from streams.mixing import Mixing
from streams.replica import Image, Replica

log = logging.getLogger(__name__)

FAREWELL_S = 5.0
"""How long a worker that ends waits for Kafka; within the grace of what ends it."""


class Saving:
    """Snapshots of a replica, each right after what it holds was put into a delta.

    Args:
        deltas: their positions say what a snapshot covers.
        now: the wall clock, ms.
        stats: counts what was not saved.
    """

    def __init__(
        self,
        replica: Replica,
        mixing: Mixing,
        snapshots: Snapshots,
        deltas: BroadcastReader,
        now: Callable[[], int],
        stats: Counter[str],
    ) -> None:
        self._replica, self._mixing, self._snapshots = replica, mixing, snapshots
        self._deltas, self._now, self._stats = deltas, now, stats
        self._saved_s = time.monotonic()
        self._is_restored = False

    @property
    def age_s(self) -> float:
        """Since this process last saved, or began."""
        return time.monotonic() - self._saved_s

    def restored(self) -> None:
        """From here on this process holds what was learnt; before, it must not save itself over it."""
        self._is_restored = True

    def _image(self) -> Image:
        return self._replica.image(self._now(), self._deltas.positions)

    async def run(self, every_s: float) -> None:
        """Save for ever; copied on the loop, written off it."""
        while True:
            await asyncio.sleep(every_s)
            said = self._mixing.say()
            image = self._image()
            await self._mixing.tell(said)
            await self._write(image)

    async def farewell(self) -> None:
        """Tell the others what they do not know yet, and save it, whether they can be told or not."""
        if not self._is_restored:
            return
        said = self._mixing.say(last=True)
        image = self._image()
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._mixing.tell(said)
        except TimeoutError:
            log.error("Kafka does not answer: %d deltas stay unsent", self._mixing.unsent)
        await self._write(image)

    async def _write(self, image: Image) -> None:
        try:
            await asyncio.to_thread(image.write, self._snapshots)
        except OSError as error:
            self._stats["snapshots_not_saved"] += 1
            log.error("the snapshot was not saved: %s; the one before stands", error)
        else:
            self._saved_s = time.monotonic()
