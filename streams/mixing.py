"""What is learnt here is told to the other workers and the replicas, soon and in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from online_models import deltas
from online_models.deltas import Delta
from online_models.state import Outcome
from streams.outputs import Message, Outputs
from streams.positions import Held
from streams.replica import Replica


class Mixing:
    """Tells after an interval or after so many interactions, whichever comes first.

    Args:
        name: of this worker; key of its records, so that they stay in order.
        interval_s: told at least so often while anything is learnt.
        interval_events: and after so many interactions.
    """

    def __init__(
        self, replica: Replica, outputs: Outputs, name: str, *, interval_s: float, interval_events: int
    ) -> None:
        self._replica, self._outputs, self._name = replica, outputs, name
        self._interval_s, self._interval_events = interval_s, interval_events
        self._spans: dict[int, tuple[int, int, int]] = {}  # partition -> epoch, first and last seq told of
        self._untold = 0
        self._much = asyncio.Event()
        self._unsent: deque[Message] = deque()
        self._sending = asyncio.Lock()

    @property
    def unsent(self) -> int:
        """Deltas that Kafka has not taken yet."""
        return len(self._unsent)

    def learnt(self, held: Held, outcome: Outcome) -> None:
        """A commit's learning is to be told."""
        self._untold += len(outcome.interactions)
        if self._untold >= self._interval_events:
            self._much.set()
        first = self._spans.get(held.partition, (held.own.epoch, held.own.seq, 0))
        begin = first[1] if first[0] == held.own.epoch else held.own.seq
        self._spans[held.partition] = (held.own.epoch, begin, held.own.seq)

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._much.wait()
            await self.tell(self.say())

    def say(self, *, last: bool = False) -> list[Delta]:
        """What was learnt since last asked, to be told next; the ``last`` one covers all commits."""
        self._untold = 0
        self._much.clear()
        return self._replica.say(self._spans, last=last)

    async def tell(self, said: Sequence[Delta]) -> None:
        """Send deltas one after the other: one that came after its successor would be passed over as heard."""
        if said:
            self._spans = {}
            self._unsent += [Message("model-deltas", self._name, deltas.encode(delta)) for delta in said]
        async with self._sending:
            while self._unsent:
                await self._outputs.deliver([self._unsent[0]])
                self._unsent.popleft()
