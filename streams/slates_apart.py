"""The worker's end of the process that makes its slates: debts go over, and what becomes of them comes back.

A worker that has time makes slates itself: they are cheaper there by a third, where what they read was just written.
One that is busy hands them over. So it does until the process is loaded, and while it is away: no debt waits for a
process. One that ends is started again; what it held is owed as before.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from online_models.history import UserRecord
from streams.children import environment
from streams.publish import Observes, Remembers
from streams.settings import Settings, as_environment
from streams.slate_wire import Came, Kind, Line, pack_owed, unpack_done, unpack_fresh, unpack_made
from streams.slates import Owed

log = logging.getLogger(__name__)

MOST_WAITING = 160
"""Debts handed over before their slate is made: enough to go on with while folds take the worker's loop."""
ROOM_BYTES = 1 << 20
"""Of the line in each direction, as far as the system gives it: what the process says while folds take the loop."""
AGAIN_S, AGAIN_AT_MOST_S = 1.0, 60.0
"""Before a process that has ended is started again; twice as long each time that it was never ready."""
FAREWELL_S = 10.0


class ProcessGone(ConnectionError):
    """The process ended before it said what became of a debt."""


class SlatesApart:
    """Serves debts (:class:`streams.slates.SlateQueue`).

    Args:
        here: makes a slate in this process, while the other cannot.
        record_of: a user's record in this worker's memory; None when it is not held here.
        learner: told what slates were chosen from.
        freshness: told how fresh they were.
        busy: the share of one CPU this process has used of late; 1 or more hands all over.
    """

    def __init__(
        self, settings: Settings, here: Callable[[Owed], Awaitable[asyncio.Future[Any] | None]],
        record_of: Callable[[int, str], UserRecord | None], learner: Remembers, freshness: Observes,
        busy: Callable[[], float],
    ) -> None:  # fmt: skip
        self._settings, self._here, self._record_of = settings, here, record_of
        self._learner, self._freshness, self._busy = learner, freshness, busy
        self.context: Callable[[], str] = str  # of the trace under way
        self.ready = False
        self.measured = b""  # what the process measures, as Prometheus reads it
        self._cpu_before, self._cpu = 0.0, 0.0  # of processes that have ended, of this one
        self._line: Line | None = None
        self._numbered = 0
        self._under_way: dict[int, asyncio.Future[Any]] = {}
        self._users: Counter[str] = Counter()  # of debts under way
        self._waiting, self._room = 0, asyncio.Event()

    @property
    def cpu_s(self) -> float:
        """CPU time that slates have cost the process, s."""
        return self._cpu_before + self._cpu

    async def serve(self, owed: Owed) -> asyncio.Future[Any] | None:
        """Have one slate made; the answer holds None where there was nothing to show.

        Of a user whose slate is being made over there the next one is made there, too: it must not come first.
        """
        if self._busy() < self._settings.slate_process_from and owed.user_id not in self._users:
            return await self._here(owed)
        while self.ready and self._waiting >= MOST_WAITING:
            self._room.clear()
            await self._room.wait()
        line = self._line
        if not self.ready or line is None:
            return await self._here(owed)
        self._waiting += 1
        self._numbered += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._under_way[self._numbered] = answer
        self._users[owed.user_id] += 1
        answer.add_done_callback(partial(self._over, owed.user_id))
        record = self._record_of(owed.partition, owed.user_id)
        line.send(Kind.OWED, *pack_owed(self._numbered, owed, record, self.context()))
        return answer

    def _over(self, user_id: str, answer: asyncio.Future[Any]) -> None:
        self._users[user_id] -= 1
        if not self._users[user_id]:
            del self._users[user_id]

    async def drained(self) -> None:
        """Return once all that was handed over is in the log, or the process is gone."""
        while self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    # ------------------------------------------------------------------ what comes back

    def _heard(self, kind: Kind, frame: memoryview) -> None:
        if kind is Kind.NEXT:
            self._waiting -= 1
            self._room.set()
        elif kind is Kind.MADE:
            self._learner.remember(*unpack_made(frame))
        elif kind is Kind.FRESH:
            self._freshness.observe(unpack_fresh(frame))
        elif kind is Kind.DONE:
            number, came, self._cpu = unpack_done(frame)
            self._settle(number, came)
        elif kind is Kind.METRICS:
            self.measured = bytes(frame)
        elif kind is Kind.READY:
            self.ready = True
            log.info("slates are made by a process of their own")

    def _settle(self, number: int, came: Came) -> None:
        answer = self._under_way.pop(number)
        if answer.cancelled():
            return
        if came is Came.NOT_TAKEN:
            answer.set_exception(ConnectionError("the log did not take a slate"))
        else:
            answer.set_result(True if came is Came.IN_LOG else None)

    def _gone(self) -> None:
        self.ready, self._line, self.measured = False, None, b""
        self._cpu_before, self._cpu = self.cpu_s, 0.0
        self._waiting = 0
        self._room.set()
        left, self._under_way = self._under_way, {}
        for answer in left.values():
            if not answer.cancelled():
                answer.set_exception(ProcessGone("the process that makes slates has ended"))

    # ------------------------------------------------------------------ life

    async def run(self) -> None:
        """Keep a process running."""
        pause_s = AGAIN_S
        while True:
            was_ready = await self._session()
            pause_s = AGAIN_S if was_ready else min(2 * pause_s, AGAIN_AT_MOST_S)
            log.error("the process that makes slates has ended: the worker makes them until it is back")
            await asyncio.sleep(pause_s)

    async def _session(self) -> bool:
        """One process from its start to its end; whether it was ever ready."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM_BYTES)
        gone = asyncio.Event()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "streams.slate_process", str(theirs.fileno()),
                pass_fds=(theirs.fileno(),), env=environment(as_environment(self._settings)),
            )  # fmt: skip
        finally:
            theirs.close()
        line = Line(self._heard, gone.set)
        await asyncio.get_running_loop().create_unix_connection(lambda: line, sock=ours)
        self._line = line
        try:
            await gone.wait()
            return self.ready
        finally:
            line.close()
            self._gone()
            await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It ends once its line is closed; one that does not is ended."""
    try:
        async with asyncio.timeout(FAREWELL_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
