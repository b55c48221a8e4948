"""The load generator keeps its pace whatever is answered, and counts from when a request was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bench import load


class Answerer:
    """An HTTP server that answers with what it was asked, once it is let."""

    def __init__(self) -> None:
        self.let, self.asked = asyncio.Event(), asyncio.Semaphore(0)
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().rpartition(b"content-length:")[2])
                body = await reader.readexactly(length)
                self.asked.release()
                await self.let.wait()
                status = b"200 OK" if body != b"bad" else b"422 No"
                writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
async def answerer() -> AsyncIterator[Answerer]:
    made = Answerer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    made.let.set()
    server.close()


async def test_each_request_gets_its_own_answer_with_its_status(answerer: Answerer) -> None:
    answerer.let.set()
    wanted = [b"1", b"bad", b"x" * 100_000, b""]
    async with load.Client.to("127.0.0.1", answerer.port, connections=2) as client:
        answers = await load.open_loop(client, [load.post("/x", body) for body in wanted], per_s=1e6)
    assert [answer.body for answer in answers] == wanted
    assert [answer.status for answer in answers] == [200, 422, 200, 200]


async def test_requests_are_sent_though_none_is_answered_and_wait_from_when_they_were_due(
    answerer: Answerer,
) -> None:
    async with load.Client.to("127.0.0.1", answerer.port, connections=2) as client:
        begun = time.perf_counter()
        running = asyncio.create_task(load.open_loop(client, [load.post("/x", b"1")] * 3, per_s=1e6))
        for _ in range(2):
            await answerer.asked.acquire()
        assert not running.done()
        held = time.perf_counter() - begun
        answerer.let.set()
        answers = await running
    assert all(answer.waited_s >= held - 1e-3 for answer in answers), "the third had no connection until then"


async def test_a_connection_that_is_cut_is_an_error_and_not_a_fast_answer() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, load.Client.to("127.0.0.1", port, connections=1) as client:
        with pytest.raises(ConnectionError):
            await client.ask(load.post("/x", b"1"), time.perf_counter())
