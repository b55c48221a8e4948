"""What a partition is when it is taken over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from online_models.fold_policy import FoldPolicy
from online_models.interning import Interner
from online_models.state import Outcome, PartitionFold
from online_models.store import Store, Write
from online_models.userstate import UserKeys
from streams.ingest import Ingest
from streams.outputs import Message
from streams.positions import Held
from streams.transport_batch import Batch, Record
from streams.validation import Rules


class NoEffects:
    """Notes what was adopted."""

    def __init__(self) -> None:
        self.owed: dict[str, int] = {}
        self.causes: dict[str, str] = {}

    def adopted(self, partition: int, fold: PartitionFold, owed: Mapping[str, int], seq: int) -> None:
        self.owed, self.causes = dict(owed), dict(fold.owing)

    def committed(self, held: Held, outcome: Outcome) -> None:
        pass


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[Store]:
    store = Store(redis_url, namespace)
    yield store
    await store.close()


def ingest_of(store: Store, effects: Any) -> Ingest:
    return Ingest(
        store, SimpleNamespace(), Interner(), effects, FoldPolicy(), Rules(),  # type: ignore[arg-type]
        partitions=1, clock=lambda: 500.0,
    )  # fmt: skip


async def test_a_partition_is_not_idle_before_its_first_batch_had_time_to_come(store: Store) -> None:
    held = Held(await store.claim(0), 1)
    await ingest_of(store, NoEffects()).claimed(held)
    assert held.state.last_batch_s == 500.0, "else its open windows are closed over a backlog of clicks"


async def test_who_was_owed_a_slate_is_owed_it_by_the_next_owner_with_a_cause(store: Store) -> None:
    own = await store.claim(0)
    await store.commit(own, [("ZADD", store.prefix(0) + "dirty", 7, "ann")], 3)
    held, effects = Held(await store.claim(0), 2), NoEffects()
    await ingest_of(store, effects).claimed(held)
    assert effects.owed == {"ann": 7}
    assert effects.causes == {"ann": "0-7-ann"}


class Delivered:
    """Keeps what is produced."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def deliver(self, messages: Iterable[Message]) -> None:
        self.messages += messages


class Owned:
    """One hold, in order."""

    def __init__(self, store: Store, held: Held) -> None:
        self._store, self._held = store, held

    def admit(self, batch: Batch) -> Held:
        return self._held

    async def commit(self, held: Held, writes: list[Write], next_position: int) -> bool:
        held.own = await self._store.commit(held.own, writes, next_position)
        return True


async def test_a_record_whose_fold_fails_is_a_dead_letter_and_those_around_it_count(store: Store) -> None:
    await store.redis.rpush(UserKeys.of(store.prefix(0), "bad").record, "a list where a record belongs")
    outputs, held = Delivered(), Held(await store.claim(0), 1)
    ingest = ingest_of(store, NoEffects())
    ingest.outputs, ingest.positions = outputs, Owned(store, held)  # type: ignore[assignment]
    await ingest.claimed(held)

    users = ["ann", "bob", "bad", "cid", "dan"]
    records = [
        Record(k, 1_000, user.encode(), orjson.dumps(
            {"v": 1, "type": "click", "event_id": f"e{k}", "user_id": user, "ts": 1_000, "item_id": "i"}
        ), ()) for k, user in enumerate(users)
    ]  # fmt: skip
    await ingest.batch(Batch("t.events", 0, 1, 0, 5, tuple(records), 5))

    [letter] = [orjson.loads(message.value or b"") for message in outputs.messages]
    assert (letter["reason"], letter["offset"]) == ("poison", 2)
    assert held.own.next == 5
    assert await store.redis.hget(f"{store.prefix(0)}n:click", "0") == b"4"
