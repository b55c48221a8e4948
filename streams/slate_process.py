"""The process that makes a worker's fresh slates, so that the fold has a core to itself: ``slate_process``.

It holds the same models as any API replica and hears of the same deltas; a debt comes with its user's record as of the
commit that made it, so that the slate answers the very click. It writes exposure and slate itself, and says when the
log has them. It ends when its worker does: the other end of the line is closed then, however the worker died.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
import uuid
from collections import deque
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from online_models.candidates import Candidates
from online_models.history import UserRecord
from streams import build, collector, metrics, settings, traces
from streams import logging as logs
from streams.clock import wall_ms
from streams.faust_app import use_uvloop
from streams.listening import Listening
from streams.metrics_slates import SlateMeter
from streams.outputs import Outputs
from streams.publish import Publisher
from streams.settings import Settings
from streams.slate_wire import Came, Kind, Line, pack_done, pack_fresh, pack_made, unpack_owed
from streams.slates import Owed

log = logging.getLogger(__name__)

FOLLOW_S = 1.0
"""How often is asked whether the state was rebuilt, and how often what is measured is told."""
TURN_S = 0.003
"""Slates are made for so long before what else waits has its turn: their records then go in fewer requests."""
FAREWELL_S = 5.0
"""How long the log is given to take what is on its way at the end."""


class SlateProcess:
    """Makes the slates that come over a line."""

    def __init__(self, given: Settings) -> None:
        self._settings = given
        self.store = build.store(given, patience_s=None)
        self.outputs = Outputs(given.namespace, build.kafka_client(given))
        self.listening = Listening(given, f"slates-{uuid.uuid4().hex[:12]}", self.store)
        self.registry = CollectorRegistry()
        self.publisher = Publisher(
            self.listening.recommender, self, self.outputs, self.store, build.rules(given),
            partitions=given.partitions, surface=build.default_surface(given), n=given.recommend_n,
            now=wall_ms, record_of=_not_held, freshness=self, meter=SlateMeter(self.registry),
        )  # fmt: skip
        parts = (self.publisher, self.listening.recommender, self.outputs)
        self.tracing = traces.wanted(given, "freshet-slates")
        if self.tracing is not None:
            from streams import traced

            traced.process(self.tracing, self.listening.recommender, self.store, self.outputs)
            traced.slate_process(self.tracing, self)
        self.registry.register(metrics.Stats([lambda part=part: part.stats for part in parts]))  # type: ignore[misc]
        metrics.process(self.registry)
        self.line = Line(self._heard, self._end)
        self._waiting: deque[tuple[int, Owed, UserRecord | None, str]] = deque()
        self._some, self._ended = asyncio.Event(), asyncio.Event()

    # ------------------------------------------------------------------ the line

    def _heard(self, kind: Kind, frame: memoryview) -> None:
        if kind is Kind.OWED:
            self._waiting.append(unpack_owed(frame))
            self._some.set()

    def _end(self) -> None:
        self._ended.set()

    def remember(self, user: int, candidates: Candidates, variant: str = "") -> None:
        """What a slate was chosen from: the worker learns the order from it (:class:`streams.publish.Remembers`)."""
        self.line.send(Kind.MADE, *pack_made(user, candidates, variant))

    def observe(self, amount: float) -> None:
        """How fresh a slate is: the worker keeps the objective (:class:`streams.publish.Observes`)."""
        self.line.send(Kind.FRESH, pack_fresh(amount))

    def _done(self, number: int, came: Came) -> None:
        self.line.send(Kind.DONE, pack_done(number, came, self.publisher.cpu_s))

    # ------------------------------------------------------------------ life

    async def run(self, end: socket.socket) -> None:
        """Load, listen, and make slates until the worker is gone."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self.line, sock=end)
        ended = asyncio.create_task(self._ended.wait())
        living = asyncio.create_task(self._live())
        await asyncio.wait([ended, living], return_when=asyncio.FIRST_COMPLETED)
        try:
            if living.done():
                living.result()
        finally:
            ended.cancel()
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self.outputs.stop()
            await self.store.close()
            if self.tracing is not None:
                await asyncio.to_thread(self.tracing.close)

    async def _live(self) -> None:
        await self.outputs.start_patiently()
        await self.listening.begin()
        async with asyncio.TaskGroup() as tasks:
            for coroutine in (*self.listening.running(), self._follow(), self._make_all()):
                tasks.create_task(coroutine)
            await self.listening.heard()
            collector.settle()
            self.line.send(Kind.READY)

    async def _make_all(self) -> None:
        while True:
            await self._some.wait()
            while self._waiting:
                begun = time.monotonic()
                while self._waiting and time.monotonic() - begun < TURN_S:
                    await self.make(*self._waiting.popleft())
                await asyncio.sleep(0)  # deltas are heard and records are sent meanwhile
            self._some.clear()

    async def make(self, number: int, owed: Owed, record: UserRecord | None, context: str) -> None:
        """One slate; ``context`` is the trace its action is in."""
        answer = await self.publisher.serve_owed(owed, record)
        self.line.send(Kind.NEXT)
        if answer is None:
            self._done(number, Came.NOTHING_TO_SHOW)
        else:
            answer.add_done_callback(lambda done: self._answered(number, done))

    def _answered(self, number: int, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled():
            self._done(number, Came.IN_LOG if answer.exception() is None else Came.NOT_TAKEN)

    async def _follow(self) -> None:
        while True:
            if self._settings.metrics_port:
                self.line.send(Kind.METRICS, generate_latest(self.registry))
            await asyncio.sleep(FOLLOW_S)
            await self.listening.follow()


def _not_held(partition: int, user_id: str) -> UserRecord | None:
    """Nothing of a user is kept here."""
    return None


async def _serve(given: Settings, end: socket.socket) -> None:
    await SlateProcess(given).run(end)


def main(descriptor: int) -> None:
    """Serve the worker at the other end of a pair of sockets; settings are those of the environment."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the worker ends first, in its order, and then the line does
    given = settings.load()
    logs.configure(given.log_format, given.log_level)
    use_uvloop()
    asyncio.run(_serve(given, socket.socket(fileno=descriptor)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
