"""What a partition is when it is taken over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from online_models.fold_policy import FoldPolicy
from online_models.interning import Interner
from online_models.state import PartitionFold
from online_models.store import Store
from streams.ingest import Ingest
from streams.positions import Held
from streams.validation import Rules


class NoEffects:
    """Notes what was adopted."""

    def __init__(self) -> None:
        self.owed: dict[str, int] = {}
        self.causes: dict[str, str] = {}

    def adopted(self, partition: int, fold: PartitionFold, owed: Mapping[str, int]) -> None:
        self.owed, self.causes = dict(owed), dict(fold.owing)


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
