"""Redis loses data: the worker says so, folds again what was lost, and no item gets another's number."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from online_models.errors import StoreRefused
from online_models.snapshot import SnapshotStore
from online_models.store import Store
from streams import build, settings
from streams.positions import Positions
from streams.transport import Batch, Hooks
from tests.end_to_end.harness import Deployment, Recount, until

BEGIN = 1_700_000_000_000
TOPIC = "t.events"


class Group:
    """A consumer that knows what its group has told Kafka."""

    generation = 1

    def __init__(self, told: int | None) -> None:
        self.told = told

    async def reported(self, topic: str, partition: int) -> int | None:
        return self.told

    def request_seek(self, topic: str, partition: int, position: int | None) -> None:
        """Nothing is read here."""


def positions_of(store: Store, told: int | None, lost: list[tuple[int, int, int]]) -> Positions:
    app: Any = SimpleNamespace(
        transport_hooks=Hooks(), conf=SimpleNamespace(broker_session_timeout=60.0), consumer=Group(told)
    )

    async def on_lost(partition: int, was: int, now: int) -> None:
        lost.append((partition, was, now))

    return Positions(store, app, TOPIC, on_lost=on_lost)


async def test_a_worker_that_finds_less_than_it_committed_itself_says_so(
    redis_url: str, namespace: str
) -> None:
    store, lost = Store(redis_url, namespace), list[tuple[int, int, int]]()
    positions = positions_of(store, None, lost)
    await positions.position_for(TOPIC, 0, 1)
    held = positions.admit(Batch(TOPIC, 0, 1, 0, 10, ()))
    assert held is not None
    assert await positions.commit(held, [], 10)
    await positions.position_for(TOPIC, 0, 2)
    assert lost == []
    assert await positions.commit(positions.held()[0], [], 20)
    await store.redis.flushdb()
    assert not await positions.commit(positions.held()[0], [], 30)
    await positions.position_for(TOPIC, 0, 3)
    assert lost == [(0, 20, 0)]
    await store.close()


async def test_a_worker_just_started_believes_what_its_group_has_told_kafka(
    redis_url: str, namespace: str
) -> None:
    store, lost = Store(redis_url, namespace), list[tuple[int, int, int]]()
    await positions_of(store, None, lost).position_for(TOPIC, 0, 1)
    await positions_of(store, 0, lost).position_for(TOPIC, 0, 1)
    assert lost == []
    await positions_of(store, 40, lost).position_for(TOPIC, 0, 1)
    assert lost == [(0, 40, 0)]
    await store.close()


async def test_a_snapshot_gives_back_the_numbers_of_items_and_is_refused_where_they_are_taken(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    given = settings.load(redis_url=redis_url, namespace=namespace)
    store, snapshots = build.store(given), SnapshotStore(tmp_path)
    first, _, _ = build.learnt(given, "one", store)
    first.interner.add(list(zip("abc", await store.intern(list("abc")), strict=True)))
    first.image(1, {}).write(snapshots)
    await store.redis.flushdb()

    second, _, _ = build.learnt(given, "two", store)
    snapshot = snapshots.latest()
    assert snapshot is not None
    await second.recover(snapshot)
    assert await store.interned() == list("abc")
    assert [second.interner.get(name) for name in "abc"] == [0, 1, 2]

    await store.redis.flushdb()
    await store.intern(["z"])
    third, _, _ = build.learnt(given, "three", store)
    with pytest.raises(StoreRefused, match="no longer fits"):
        await third.recover(snapshot)
    await store.close()


def test_a_redis_emptied_under_a_running_worker_is_filled_again_from_the_log(
    kafka: str, make_redis: Callable[..., Any], namespace: str, tmp_path: Path
) -> None:
    server, chance = make_redis(), random.Random(3)
    running = Deployment(kafka, server.url, namespace, tmp_path)
    events: list[dict[str, Any]] = [
        {"v": 1, "type": "click", "event_id": f"e{k}", "user_id": f"u{chance.randrange(50)}",
         "item_id": f"i{chance.randrange(80)}", "ts": BEGIN + 1_000 * k} for k in range(2_000)
    ]  # fmt: skip
    worker = running.worker()
    running.send(events[:1_000])
    running.settle()
    names = running.names()
    server.flush()
    running.send(events[1_000:])
    running.settle()

    running.check(Recount(running.settings).add(events))
    assert {number: running.names()[number] for number in names} == names
    assert worker.running
    told = worker.log.read_text()
    assert "Redis has lost commits of partition" in told
    until(lambda: len(_signals(running)) > 0, 20, lambda: "it is on drift-signals, too")
    assert all(signal["evidence"]["now"] < signal["evidence"]["was"] for signal in _signals(running))
    running.close()


def _signals(running: Deployment) -> list[dict[str, Any]]:
    told = [orjson.loads(record.value) for record in running.read("drift-signals")]
    return [signal for signal in told if signal["name"].startswith("state_lost")]
