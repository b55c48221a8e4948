"""Holds on partitions: who is fenced drops what it holds, and only that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from online_models.errors import CommitInvalid
from online_models.store import Store
from streams.positions import Held, Positions
from streams.transport import BEGINNING, UNKNOWN, Batch, Hooks

TOPIC = "t.events"


class FakeConsumer:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.seeks: list[tuple[int, int | None]] = []
        self.rejoined = asyncio.Event()
        self.generation = 1

    def request_seek(self, topic: str, partition: int, position: int | None) -> None:
        self.seeks.append((partition, position))

    async def request_rejoin(self) -> None:
        self.rejoined.set()


class World:
    """One worker's positions, on a consumer that only notes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.dropped: list[Held] = []
        self.consumer = FakeConsumer()
        self.app = SimpleNamespace(
            transport_hooks=Hooks(), conf=SimpleNamespace(broker_session_timeout=0.05), consumer=self.consumer
        )
        self.positions = Positions(store, self.app, TOPIC, on_drop=self.dropped.append)

    def batch(self, begin: int, end: int, generation: int = 1) -> Batch:
        return Batch(TOPIC, 0, generation, begin, end, ())


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[Store]:
    store = Store(redis_url, namespace)
    yield store
    await store.close()


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


async def test_a_fresh_partition_begins_at_the_logs_beginning_and_goes_on_where_it_was(world: World) -> None:
    assert await world.positions.position_for(TOPIC, 0, 1) == BEGINNING
    held = world.positions.admit(world.batch(3, 10))
    assert held is not None
    assert await world.positions.commit(held, [], 10)
    assert await World(world.store).positions.position_for(TOPIC, 0, 2) == 10


async def test_other_topics_are_kafkas_affair(world: World) -> None:
    assert await world.positions.position_for("t.requests", 0, 1) is None
    assert world.positions.reached("t.requests", 0, 1) is None


async def test_a_gap_is_refused_and_a_seek_asked_for(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    held = world.positions.admit(world.batch(0, 10))
    assert held is not None
    await world.positions.commit(held, [], 10)
    assert world.positions.admit(world.batch(12, 20)) is None
    assert world.consumer.seeks == [(0, 10)]
    assert world.positions.gaps == 1


async def test_a_first_batch_that_was_not_folded_may_not_be_skipped(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    assert world.positions.reached(TOPIC, 0, 1) == UNKNOWN
    assert world.positions.admit(world.batch(0, 10)) is not None
    assert world.positions.reached(TOPIC, 0, 1) == 0
    assert world.positions.admit(world.batch(10, 20)) is None
    assert world.consumer.seeks == [(0, 0)]


async def test_a_batch_of_an_old_generation_is_stale(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 2)
    assert world.positions.admit(world.batch(0, 10, generation=1)) is None
    assert world.positions.stale == 1
    assert world.consumer.seeks == []


async def test_a_batch_in_flight_over_a_new_claim_ends_only_its_own_hold(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    old = world.positions.admit(world.batch(0, 10))
    assert old is not None
    await world.positions.position_for(TOPIC, 0, 2)
    assert world.dropped == [old]
    assert not await world.positions.commit(old, [("SET", world.store.prefix(0) + "x", 1)], 10)
    (new,) = world.positions.held()
    assert new.generation == 2
    assert await world.store.read([("GET", world.store.prefix(0) + "x")]) == [None]
    assert await world.positions.commit(new, [], 10)


async def test_who_is_fenced_drops_its_hold_and_claims_no_more_by_itself(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    held = world.positions.admit(world.batch(0, 10))
    assert held is not None
    epoch = (await world.store.claim(0)).epoch
    assert not await world.positions.commit(held, [], 10)
    assert world.positions.held() == []
    assert world.dropped == [held]
    assert world.positions.reached(TOPIC, 0, 1) == UNKNOWN
    assert await world.store.read([("GET", world.store.prefix(0) + "epoch")]) == [str(epoch).encode()]
    await asyncio.wait_for(
        world.consumer.rejoined.wait(), 5
    )  # the group still counts it in: a new assignment


async def test_who_is_fenced_by_a_new_generation_asks_for_nothing(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    held = world.positions.admit(world.batch(0, 10))
    assert held is not None
    await world.store.claim(0)
    world.consumer.generation = 2
    assert not await world.positions.commit(held, [], 10)
    await asyncio.sleep(0.1)
    assert not world.consumer.rejoined.is_set()


async def test_a_position_that_moved_is_read_again_without_a_claim(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    held = world.positions.admit(world.batch(0, 10))
    assert held is not None
    await world.store.commit(held.own, [], 7)  # as by a Redis that was restored from a copy
    assert not await world.positions.commit(held, [], 10)
    (new,) = world.positions.held()
    assert (new.own.epoch, new.next) == (held.own.epoch, 7)
    assert world.consumer.seeks == [(0, 7)]


async def test_a_commit_that_is_invalid_leaves_the_hold_as_it_was(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    held = world.positions.admit(world.batch(0, 10))
    assert held is not None
    with pytest.raises(CommitInvalid):
        await world.positions.commit(held, [("FLUSHALL",)], 10)
    assert world.positions.held() == [held]
    assert await world.positions.commit(held, [], 10)


async def test_what_is_revoked_is_dropped(world: World) -> None:
    await world.positions.position_for(TOPIC, 0, 1)
    world.positions.revoked([("t.other", 0), (TOPIC, 0), (TOPIC, 3)])
    assert world.positions.held() == []
    assert len(world.dropped) == 1
    assert world.positions.admit(world.batch(0, 10)) is None
