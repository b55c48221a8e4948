"""A TCP proxy that cuts connections after the server has been asked and before its answer came through."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Self


class CuttingProxy:
    """Stands before one server of this machine; a share of all answers cuts the connection instead of arriving.

    Args:
        port: the server's.
        share: probability that an answer is swallowed, 0..1.
    """

    def __init__(self, port: int, share: float, seed: int = 3) -> None:
        if not 0 <= share < 1:
            raise ValueError(f"share: 0 to 1, not {share}")
        self.cuts = 0
        self.share = share
        self._target = port
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        """As of a Redis."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        asking = asyncio.ensure_future(_copy(reader, up_writer))
        try:
            while answer := await _read(up_reader):
                if self._random.random() < self.share:
                    self.cuts += 1
                    break
                writer.write(answer)
        finally:
            asking.cancel()
            writer.transport.abort()
            up_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await _read(reader):
        writer.write(data)
    writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What comes next; nothing at the end, however it came."""
    try:
        return await reader.read(65_536)
    except OSError:
        return b""
