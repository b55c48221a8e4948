"""A process of its own makes the slates: the same slates, the same debts, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import settings as freshet_settings
from streams.children import LOOPBACK, Child, free_port
from streams.slate_wire import Came, Kind, Line, pack_done
from streams.slates import Owed
from streams.slates_apart import SlatesApart
from tests.end_to_end.harness import Deployment, Event, until

BEGIN = 1_700_000_000_000
ITEMS = 30


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=40)), max_size=8), st.data())
def test_frames_arrive_whole_however_the_bytes_are_cut(
    frames: list[tuple[Kind, bytes]], data: st.DataObject
) -> None:
    sent = bytearray()
    for kind, body in frames:
        sent += len(body).to_bytes(4, "little") + bytes((kind,)) + body
    heard: list[tuple[Kind, bytes]] = []
    line = Line(lambda kind, frame: heard.append((kind, bytes(frame))), lambda: None)
    while sent:
        cut = data.draw(st.integers(1, len(sent)))
        line.data_received(bytes(sent[:cut]))
        del sent[:cut]
    assert heard == frames


async def test_what_one_end_sends_the_other_hears_and_each_hears_the_end() -> None:
    heard: list[tuple[Kind, bytes]] = []
    ended = asyncio.Event()
    one = Line(lambda kind, frame: None, lambda: None)
    other = Line(lambda kind, frame: heard.append((kind, bytes(frame))), ended.set)
    loop = asyncio.get_running_loop()
    for line, end in zip((one, other), socket.socketpair(), strict=True):
        await loop.create_unix_connection(lambda line=line: line, sock=end)  # type: ignore[misc]
    one.send(Kind.METRICS, b"a", b"bc")
    one.send(Kind.READY)
    one.close()
    async with asyncio.timeout(5):
        await ended.wait()
    assert heard == [(Kind.METRICS, b"abc"), (Kind.READY, b"")]
    other.send(Kind.READY)  # nobody hears it, and nothing is raised


@pytest.fixture
def running(kafka: str, redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Deployment]:
    asked = {
        "slate_process": True,
        "slate_process_from": 0.0,
        "order_learning_share": 0.0,
        "metrics_port": free_port(),
    }
    deployment = Deployment(kafka, redis_url, namespace, tmp_path, asked)
    yield deployment
    deployment.close()


def test_slates_come_from_the_process_and_hold_what_the_user_has_not_clicked(running: Deployment) -> None:
    worker = _at_work(running)
    running.send(_clicks("warm", 400))
    running.settle()
    asked = _clicks("then", 60)
    running.send(asked)
    running.settle()
    for event in _last_of_each_user(asked):
        slate = running.slate_of(event["user_id"], event["event_id"])
        clicked = {e["item_id"] for e in asked if e["user_id"] == event["user_id"]}
        assert slate["items"] and not clicked & {slot["item_id"] for slot in slate["items"]}
    shown = len(_last_of_each_user(asked))
    until(lambda: _metric(running, "freshet_slate_cpu_seconds_count") >= shown, 20, running.logs)
    assert _metric(running, "freshet_slates_published_total") == _metric(
        running, 'freshet_slates_total{surface="default"}'
    )
    assert _metric(running, "freshet_freshness_seconds_count") >= shown, "the worker keeps the objective"
    assert worker.running and _children(worker)


def test_a_process_that_dies_is_started_again_and_no_debt_is_lost(running: Deployment) -> None:
    worker = _at_work(running)
    was = _children(worker)
    running.send(_clicks("before", 300))
    os.kill(was[0], signal.SIGKILL)
    running.send(_clicks("after", 300))
    running.settle()
    until(lambda: worker.log.read_text().count("made by a process of their own") == 2, 90, running.logs)
    assert _children(worker) != was
    asked = _clicks("again", 40)
    running.send(asked)
    running.settle()
    for event in _last_of_each_user(asked):
        assert running.slate_of(event["user_id"], event["event_id"])["items"]


def test_the_process_ends_with_its_worker_however_that_ends(running: Deployment) -> None:
    stopped = _at_work(running)
    child = _children(stopped)[0]
    stopped.stop()
    until(lambda: not _lives(child), 20, lambda: f"process {child} ended with its worker")
    killed = _at_work(running)
    child = _children(killed)[0]
    killed.kill()
    until(lambda: not _lives(child), 20, lambda: f"process {child} ended with its worker")


def _at_work(running: Deployment) -> Child:
    """A worker whose process is loaded."""
    before = running.epochs()
    worker = running.worker()
    running.wait_for_claims(before)
    until(lambda: "made by a process of their own" in worker.log.read_text(), 60, running.logs)
    return worker


def _clicks(name: str, n: int) -> list[Event]:
    chance = random.Random(name)
    return [
        {"v": 1, "type": "click", "event_id": f"{name}-{k}", "user_id": f"{name}-{k % (n // 4)}",
         "item_id": f"i{chance.randrange(ITEMS)}", "ts": BEGIN + 1_000 * k}
        for k in range(n)
    ]  # fmt: skip


def _last_of_each_user(events: list[Event]) -> list[Event]:
    return list({event["user_id"]: event for event in events}.values())


def _metric(running: Deployment, name: str) -> float:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{running.settings.metrics_port}/metrics") as answer:
        text = answer.read().decode()
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)


def _children(worker: Child) -> list[int]:
    lists = Path(f"/proc/{worker.pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]


def _lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_worker_that_has_time_makes_slates_itself_unless_one_of_the_user_is_made_over_there() -> None:
    busy, here, sent = [0.2], [], []

    async def make(owed: Owed) -> asyncio.Future[Any]:
        here.append(owed.cause)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result("in the log")
        return answer

    settings = freshet_settings.load(slate_process=True, slate_process_from=0.8)
    apart = SlatesApart(settings, make, lambda partition, user: None, None, None, lambda: busy[0])  # type: ignore[arg-type]
    apart.ready, apart._line = True, SimpleNamespace(send=lambda *parts: sent.append(parts))  # type: ignore[assignment]
    await apart.serve(Owed(0, "a", "idle", 1, 1))
    busy[0] = 0.9
    made = await apart.serve(Owed(0, "a", "busy", 2, 2))
    busy[0] = 0.2
    await apart.serve(Owed(0, "a", "idle, but behind the one before", 3, 3))
    await apart.serve(Owed(0, "b", "idle", 3, 3))
    assert (here, len(sent)) == (["idle", "idle"], 2)
    assert made is not None and not made.done()
    for number in (1, 2):
        apart._heard(Kind.DONE, memoryview(pack_done(number, Came.IN_LOG, 0.001)))
    await asyncio.sleep(0)
    await apart.serve(Owed(0, "a", "idle again", 4, 4))
    assert (here[-1], len(sent), made.result()) == ("idle again", 2, True)


async def test_a_process_that_cannot_start_is_tried_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready, pauses = [True, False, False, False, True, *[False] * 8], []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def session(self: SlatesApart) -> bool:
        if not ready:
            raise asyncio.CancelledError
        return ready.pop(0)

    monkeypatch.setattr(SlatesApart, "_session", session)
    monkeypatch.setattr("streams.slates_apart.asyncio.sleep", sleep)
    settings = freshet_settings.load(slate_process=True)
    apart = SlatesApart(settings, None, None, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await apart.run()
    assert pauses == [1.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
