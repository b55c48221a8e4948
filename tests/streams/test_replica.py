"""What a process says of what it learnt, and what it makes of what others say."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from online_models import deltas
from online_models.base import RECENT, Interaction
from online_models.counters import CounterBatch
from online_models.deltas import Delta
from online_models.state import Outcome
from streams import build
from streams import settings as freshet_settings
from streams.replica import Replica
from streams.topics import CONTRACT

HALF_LIFE = 86_400_000
TAKEN = 1_048_588
"""Bytes of the largest record a topic takes."""


class NoStore:
    """Names nothing."""

    async def interned(self) -> list[str]:
        return [f"i{k}" for k in range(5_000)]

    async def intern(self, names: Sequence[str]) -> list[int]:
        raise AssertionError(names)


def replica() -> Replica:
    made, _, _ = build.learnt(freshet_settings.load(), "w", NoStore(), watching=False)  # type: ignore[arg-type]
    return made


def learnt(n: int) -> Outcome:
    """A great deal: long histories, and every item acted on and seen."""
    counts = CounterBatch(HALF_LIFE)
    interactions = []
    for k in range(n):
        counts.action(k % 5_000, "click", k, "default")
        recent = tuple((k + j) % 5_000 for j in range(RECENT))
        interactions.append(Interaction(2**62 + k, k % 5_000, k, recent, tuple(range(RECENT))))
    return Outcome(interactions=interactions, counts=counts)


def record(delta: Delta) -> Any:
    return SimpleNamespace(value=deltas.encode(delta), topic="t.model-deltas", offset=0)


async def test_what_is_said_fits_the_topic_and_adds_up_to_what_was_learnt() -> None:
    speaker, hearer = replica(), replica()
    speaker.learner.frozen = True  # what is said is asked here, not what the models make of it
    outcome = learnt(6_000)
    speaker.learner._uncounted.merge(outcome.counts)
    speaker.learner._unsent.extend(outcome.interactions)
    said = speaker.say({0: (1, 1, 9)})
    assert next(t.configs(1) for t in CONTRACT if t.name == "model-deltas")["max.message.bytes"] == str(TAKEN)
    assert max(len(deltas.encode(delta)) for delta in said) < TAKEN
    assert [delta.number for delta in said] == list(range(1, len(said) + 1))
    assert [x for delta in said for x in delta.interactions] == outcome.interactions
    hearer.learner.frozen = True
    await hearer.hear_deltas([record(delta) for delta in said])
    np.testing.assert_array_equal(
        hearer.learner.counters.exact(np.arange(5_000, dtype=np.int32), "click"),
        np.bincount(np.arange(6_000) % 5_000),
    )
    assert speaker.say({}) == []


async def test_a_delta_heard_twice_counts_once() -> None:
    speaker, hearer = replica(), replica()
    speaker.learner.learn(learnt(3))
    said = speaker.say({})
    await hearer.hear_deltas([record(delta) for delta in [*said, *said]])
    assert hearer.stats["deltas_heard"] == len(said) == 1
    assert hearer.learner.counters.get(1, "click") == 1


async def test_an_entry_that_is_refused_takes_no_items_number() -> None:
    names: list[str] = []

    async def intern(asked: Sequence[str], **_: Any) -> list[int]:
        names.extend(asked)
        return [k for k, _ in enumerate(asked)]

    made = replica()
    made._store = SimpleNamespace(intern=intern)  # type: ignore[assignment]
    entries = [(b"i", b'{"v":1,"item_id":"i"}'), (b"bad", b'{"item_id":7}'), (b"", None)]
    records = [
        SimpleNamespace(key=key, value=value, timestamp=5, topic="t.catalog", partition=0, offset=k)
        for k, (key, value) in enumerate(entries)
    ]
    await made.hear_catalog(records)  # type: ignore[arg-type]
    assert names == ["i"]
    assert [(why.field, record.offset) for why, record in made.rejected] == [("item_id", 1)]
    assert made.catalog.available().tolist() == [0]
