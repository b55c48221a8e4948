"""Fresh slates for users who have just acted: coalesced per user, within a CPU budget.

A slate costs about a millisecond, an event a few hundredths of one. So a burst of clicks must not eat the fold's
time: while events wait, slates are made within a share of the CPU, the newest click first, and what waits too long is
skipped and counted; such users are served on request. A worker that keeps up makes every slate.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

TURN_S = 0.01
"""CPU time after which slates let the fold go on."""
CROWDED = 300
"""Users owed a slate beyond whom those who have waited too long are skipped, and the newest served first."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A user who has acted and whose slate is not out yet."""

    partition: int
    user_id: str
    cause: str  # event_id of the action
    acted: int  # event time of the action, ms
    appended: int  # when it reached the log, ms


@dataclass(slots=True)
class CpuBudget:
    """A share of one CPU as a token bucket, in seconds.

    >>> budget = CpuBudget(share=0.5, burst_s=0.1)
    >>> budget.refill(now=10.0); budget.spend(0.1); budget.allows
    False
    >>> budget.refill(now=10.1); budget.allows
    True
    """

    share: float
    burst_s: float = 0.1
    tokens: float = 0.0
    _at: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share must be in (0, 1], not {self.share}")

    def refill(self, now: float) -> None:
        """Time has passed, s on a monotonic clock."""
        if self._at is None:
            self.tokens = self.burst_s
        else:
            self.tokens = min(self.burst_s, self.tokens + (now - self._at) * self.share)
        self._at = now

    def spend(self, seconds: float) -> None:
        """CPU time was used; the bucket may go below zero and must then fill up first."""
        self.tokens -= seconds

    @property
    def allows(self) -> bool:
        """Whether another slate may be made now."""
        return self.tokens > 0.0

    def wait_s(self) -> float:
        """How long until it does."""
        return max(0.0, -self.tokens / self.share) + 1e-4


class SlateQueue:
    """Users owed a slate, served by :meth:`run`: in order, or the newest first while events wait.

    Args:
        serve: makes and publishes one slate; its acknowledgement to come, None (now or then) when there was nothing
            to show.
        settle: told of debts whose slate is acknowledged, empty or skipped.
        clock: monotonic, s.
        patience_s: an older debt is skipped while events wait.
        cpu: CPU time spent on slates so far, s, by which the budget is spent.
        behind: whether events wait to be folded: only then does the budget hold slates back.
    """

    def __init__(
        self,
        serve: Callable[[Owed], Awaitable[asyncio.Future[Any] | None]],
        settle: Callable[[Owed], None],
        clock: Callable[[], float],
        *,
        budget: CpuBudget,
        patience_s: float = 0.25,
        most: int = 100_000,
        cpu: Callable[[], float],
        behind: Callable[[], bool] = lambda: True,
    ) -> None:
        self._cpu, self._behind = cpu, behind
        self._charged = self._cpu()  # of CPU time, up to where it is spent
        self._serve, self._settle, self._clock = serve, settle, clock
        self.budget, self.patience_s, self.most = budget, patience_s, most
        self._owed: OrderedDict[str, tuple[Owed, float]] = OrderedDict()  # and since when
        self._newest: dict[str, Owed] = {}  # by user, until it is settled
        self._wake = asyncio.Event()
        self._gone: set[int] = set()
        self._making = asyncio.Lock()
        self.stats: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, owed: Owed) -> None:
        """A user has acted; an older debt to the same user is folded into this one.

        Of a partition that is gone nothing is taken on, such as the debts of a commit that was under way when it went:
        they stand in the store, and the next owner serves them from a newer state.
        """
        if owed.partition in self._gone:
            return
        if self._owed.pop(owed.user_id, None) is not None:
            self.stats["coalesced"] += 1
        self._newest[owed.user_id] = owed
        self._put(owed)

    def _put(self, owed: Owed) -> None:
        self._owed[owed.user_id] = (owed, self._clock())
        if len(self._owed) > self.most:
            self._skip_oldest()
        self._wake.set()

    def forget(self, partition: int) -> None:
        """A partition is no longer ours: its debts are the new owner's, until :meth:`welcome`."""
        self._gone.add(partition)
        for user_id in [u for u, owed in self._newest.items() if owed.partition == partition]:
            del self._newest[user_id]
            self._owed.pop(user_id, None)

    def welcome(self, partition: int) -> None:
        """A partition is ours, or ours again."""
        self._gone.discard(partition)

    async def between_slates(self) -> None:
        """Return once the slate that is being made, if any, is handed over."""
        async with self._making:
            return

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            await self._wake.wait()
            self.budget.refill(self._clock())
            self._charge()
            behind = self._behind()
            self._skip_impatient(most=0 if behind else CROWDED)
            if not self._owed:
                self._wake.clear()
            elif self.budget.allows or not behind:
                await self._turn()
                await asyncio.sleep(0)  # the fold goes on
            else:
                await asyncio.sleep(self.budget.wait_s())

    async def _turn(self) -> None:
        """A few milliseconds of slates, since each turn waits for the fold steps of all partitions.

        While events wait the newest go first, for the others may come too late; a worker that keeps up makes all, in
        order.
        """
        begun = self._cpu()
        while self._owed and self._cpu() - begun < TURN_S:
            await self._next(newest=len(self._owed) > CROWDED or self._behind())
        self._charge()

    def _charge(self) -> None:
        """What slates have cost since last asked is spent; another process says so when it may."""
        spent, self._charged = self._cpu() - self._charged, self._cpu()
        self.budget.spend(spent)

    async def _next(self, *, newest: bool) -> None:
        _, (owed, _) = self._owed.popitem(last=newest)
        async with self._making:
            answer = await self._serve(owed)
        if answer is None:
            self._came(owed, shown=False)
        else:
            answer.add_done_callback(partial(self._acknowledged, owed))

    def _came(self, owed: Owed, *, shown: bool) -> None:
        self.stats["served" if shown else "failed"] += 1
        self._settled(owed)

    def _settled(self, owed: Owed) -> None:
        if self._newest.get(owed.user_id) is owed:
            del self._newest[owed.user_id]
        self._settle(owed)

    def _acknowledged(self, owed: Owed, answer: asyncio.Future[Any]) -> None:
        """The debt is settled once its slate is in the log; one the log did not take is made again.

        Unless the user has acted since: the newer slate, owed or on its way, is the one that settles what is owed.
        """
        if answer.cancelled():
            return  # the process ends; the debt is the next owner's
        if answer.exception() is None:
            self._came(owed, shown=answer.result() is not None)
            return
        self.stats["unacknowledged"] += 1
        if self._newest.get(owed.user_id) is owed:
            self._put(owed)

    def _skip_impatient(self, most: int) -> None:
        """Of more than so many that are owed, those that have waited too long."""
        now = self._clock()
        while len(self._owed) > most and now - next(iter(self._owed.values()))[1] > self.patience_s:
            self._skip_oldest()

    def _skip_oldest(self) -> None:
        _, (owed, _) = self._owed.popitem(last=False)
        self.stats["skipped"] += 1
        self._settled(owed)
