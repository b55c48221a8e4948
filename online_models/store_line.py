"""Scripts that are ready at once go to Redis in one round trip.

A commit of one record is little work for Redis, and redis-py's way of asking (a connection from the pool and back, a
task and two timers for each command) costs more than all of it. A line keeps its connection, sends what has gathered,
reads the answers in order, and so on while there is any; what comes meanwhile goes next. A cut or silent connection is
every caller's to know: what becomes of a command that was sent stands in Redis, so a commit asks by its token.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as Cut
from redis.exceptions import ResponseError


class Line:
    """One connection of a pool, held; not for a cluster, whose keys live on several servers.

    Args:
        pool: redis-py's.
        timeout_s: how long a round trip may take until its outcome is unknown.
    """

    def __init__(self, pool: Any, timeout_s: float) -> None:
        self._pool, self._timeout_s = pool, timeout_s
        self._connection: Any = None
        self._waiting: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a round trip is under way: what is asked now goes with the next."""
        return self._sending is not None

    async def ask(self, *command: Any) -> Any:
        """The answer to a command.

        Raises:
            redis.ResponseError: Redis refused it.
            redis.ConnectionError, OSError: the connection was cut or time ran out; it may have been done.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((hiredis.pack_command(command), answer))
        if self._sending is None:
            self._sending = loop.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        under_way: list[tuple[bytes, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                under_way, self._waiting = self._waiting, []
                async with asyncio.timeout(self._timeout_s):
                    await self._round_trip(under_way)
        except BaseException as error:
            await self._drop()
            told = Cut("the line was closed") if isinstance(error, asyncio.CancelledError) else error
            for _, answer in (*under_way, *self._waiting):
                if not answer.done():
                    answer.set_exception(told)
            self._waiting = []
            if not isinstance(error, Exception):
                raise
        finally:
            self._sending = None

    async def _round_trip(self, asked: list[tuple[bytes, asyncio.Future[Any]]]) -> None:
        connection = self._connection
        if connection is None:
            connection = self._connection = await self._pool.get_connection()
        elif not connection.is_connected or await connection.can_read():  # closed while nobody asked
            await connection.disconnect(nowait=True)
            await connection.connect()
        await connection._send_packed_command([packed for packed, _ in asked])  # the public one makes a task
        for _, answer in asked:
            try:
                given = await connection.read_response(timeout=math.inf)  # the whole has its timeout
            except ResponseError as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(given)

    async def _drop(self) -> None:
        """Whoever reads on would take answers that are another's."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def close(self) -> None:
        """End what is under way, and give the connection back."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class Lines:
    """A few lines: while Redis works on what one has sent, another may send.

    Args:
        pool: redis-py's.
        timeout_s: of a round trip.
        most: round trips at once.
    """

    def __init__(self, pool: Any, timeout_s: float, most: int = 2) -> None:
        self._lines = [Line(pool, timeout_s) for _ in range(most)]

    async def ask(self, *command: Any) -> Any:
        """As :meth:`Line.ask`, on the first line that is free, else with the next round trip of the last."""
        line = next((line for line in self._lines if not line.busy), self._lines[-1])
        return await line.ask(*command)

    async def close(self) -> None:
        """Close all."""
        for line in self._lines:
            await line.close()
