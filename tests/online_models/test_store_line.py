"""Commands that share a round trip: each gets its own answer, and what goes wrong is told to whom it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from redis import exceptions as errors

from online_models.store import Store
from online_models.store_client import RedisAddress, connect
from online_models.store_line import Line, Lines
from tests.support.redis_server import RedisServer


@pytest.fixture
async def line(redis_url: str) -> AsyncIterator[Line]:
    client = connect(RedisAddress(redis_url), timeout_s=5.0, connections=4)
    line = Line(client.connection_pool, 5.0)
    yield line
    await line.close()
    await client.aclose()


def round_trips(line: Line, begun: asyncio.Event | None = None) -> list[int]:
    """How many commands each round trip of a line takes, from now on."""
    sizes: list[int] = []
    send = line._round_trip

    async def counted(asked: list[tuple[bytes, asyncio.Future[object]]]) -> None:
        sizes.append(len(asked))
        if begun is not None:
            begun.set()
        await send(asked)

    line._round_trip = counted  # type: ignore[method-assign]
    return sizes


async def test_what_is_asked_at_once_goes_in_one_round_trip_and_each_gets_its_own_answer(line: Line) -> None:
    sizes = round_trips(line)
    assert await asyncio.gather(*[line.ask("ECHO", str(k)) for k in range(50)]) == [
        str(k).encode() for k in range(50)
    ]
    assert sizes == [50]


async def test_what_is_asked_during_a_round_trip_goes_with_the_next(line: Line) -> None:
    begun = asyncio.Event()
    sizes = round_trips(line, begun)
    first = asyncio.ensure_future(line.ask("ECHO", "a"))
    await begun.wait()
    assert await asyncio.gather(first, line.ask("ECHO", "b"), line.ask("ECHO", "c")) == [b"a", b"b", b"c"]
    assert sizes == [1, 2]


async def test_one_that_redis_refuses_is_told_to_its_caller_alone(line: Line) -> None:
    answers = await asyncio.gather(
        line.ask("ECHO", "a"), line.ask("NOTHING"), line.ask("ECHO", "b"), return_exceptions=True
    )
    assert (answers[0], answers[2]) == (b"a", b"b")
    assert isinstance(answers[1], errors.ResponseError)


async def test_a_caller_that_gave_up_does_not_shift_the_answers_of_the_others(line: Line) -> None:
    gone = asyncio.ensure_future(line.ask("ECHO", "gone"))
    rest = [asyncio.ensure_future(line.ask("ECHO", str(k))) for k in range(3)]
    await asyncio.sleep(0)
    gone.cancel()
    assert await asyncio.gather(*rest) == [b"0", b"1", b"2"]


async def test_a_connection_that_was_closed_while_nobody_asked_is_made_anew(
    make_redis: Callable[..., RedisServer],
) -> None:
    server = make_redis()
    client = connect(RedisAddress(server.url), timeout_s=5.0, connections=4)
    line = Line(client.connection_pool, 5.0)
    assert await line.ask("ECHO", "a") == b"a"
    reader = line._connection._reader
    server.client().client_kill_filter(_type="normal", skipme=True)
    assert await reader.read() == b""  # the end has been seen
    assert await line.ask("ECHO", "b") == b"b"
    await line.close()
    await client.aclose()


async def test_a_silent_redis_is_told_to_all_who_wait_and_no_late_answer_is_taken_for_another(
    make_redis: Callable[..., RedisServer],
) -> None:
    server = make_redis()
    client = connect(RedisAddress(server.url), timeout_s=5.0, connections=4)
    line = Line(client.connection_pool, 0.1)
    assert await line.ask("ECHO", "a") == b"a"
    server.pause()
    answers = await asyncio.gather(line.ask("ECHO", "b"), line.ask("ECHO", "c"), return_exceptions=True)
    assert all(isinstance(answer, TimeoutError) for answer in answers)
    server.resume()
    assert await line.ask("ECHO", "d") == b"d"
    await line.close()
    await client.aclose()


async def test_while_one_line_waits_another_sends(redis_url: str) -> None:
    client = connect(RedisAddress(redis_url), timeout_s=5.0, connections=4)
    lines = Lines(client.connection_pool, 5.0)
    waiting = asyncio.ensure_future(lines.ask("BLPOP", "nobody-pushes-here-yet", 0))
    assert await lines.ask("ECHO", "a") == b"a"
    await lines.ask("RPUSH", "nobody-pushes-here-yet", "b")
    assert await waiting == [b"nobody-pushes-here-yet", b"b"]
    await lines.close()
    await client.aclose()


async def test_commits_of_several_partitions_at_once_share_a_round_trip(
    redis_url: str, namespace: str
) -> None:
    store = Store(redis_url, namespace)
    owns = [await store.claim(p) for p in range(8)]
    await store.commit(await store.claim(8), [], 1)  # Redis knows the script
    assert store._lines is not None
    sizes = round_trips(store._lines._lines[0])
    sizes_too = round_trips(store._lines._lines[1])
    held = await asyncio.gather(
        *[store.commit(own, [("SET", store.prefix(own.partition) + "s", "x")], 5) for own in owns]
    )
    assert [own.next for own in held] == [5] * 8
    assert len(sizes + sizes_too) == 2 and sum(sizes + sizes_too) == 8
    await store.close()
