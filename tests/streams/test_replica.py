"""What a process says of what it learnt, and what it makes of what others say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from online_models import deltas
from online_models.base import RECENT, Interaction
from online_models.counters import CounterBatch
from online_models.deltas import Delta
from online_models.snapshot import SnapshotStore
from online_models.state import Outcome
from streams import build
from streams import settings as freshet_settings
from streams.model_tail import PATIENCE_S, ModelTail
from streams.replica import PART, Replica
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


async def test_commits_whose_learning_died_with_their_worker_are_counted_by_the_next_owner(
    tmp_path: Path,
) -> None:
    killed, heir, now = replica(), replica(), [0.0]
    killed.learner.learn(learnt(3))
    await heir.hear_deltas([record(delta) for delta in killed.say({4: (1, 1, 9)})])
    heir.image(0, {}).write(SnapshotStore(tmp_path))
    snapshot = SnapshotStore(tmp_path).latest()
    assert snapshot is not None
    restarted = replica()
    restarted.restore(snapshot)
    for of in (heir, restarted):
        tail = ModelTail(of.told, lambda: now[0])
        tail.adopted(4, seq=12)  # three commits came after the last delta
        tail.adopted(5, seq=7)  # nobody told of it: not known
        assert tail.lost() == 0, "a worker that ends in good order may be telling still"
        now[0] += PATIENCE_S
        assert tail.lost() == 3


async def test_a_worker_that_ends_in_good_order_tells_of_all_its_commits_whatever_they_taught() -> None:
    leaving, heir = replica(), replica()
    assert leaving.say({4: (1, 1, 9)}) == []
    await heir.hear_deltas([record(delta) for delta in leaving.say({4: (1, 1, 9)}, last=True)])
    assert heir.told == {4: 9}
    assert leaving.say({}, last=True) == []


async def test_a_delta_heard_twice_counts_once() -> None:
    speaker, hearer = replica(), replica()
    speaker.learner.learn(learnt(3))
    said = speaker.say({})
    await hearer.hear_deltas([record(delta) for delta in [*said, *said]])
    assert hearer.stats["deltas_heard"] == len(said) == 1
    assert hearer.learner.counters.get(1, "click") == 1


async def test_while_a_long_delta_is_heard_others_have_their_turn_and_all_of_it_is_learnt() -> None:
    delta = Delta("other", 1, tuple(learnt(10 * PART).interactions))
    at_once, in_parts = replica(), replica()
    at_once._at_once = None
    turns, most_between, learnt_before = 0, 0, 0
    learn_one = in_parts.learner.model.learn_one

    def counted(x: Interaction) -> None:
        nonlocal learnt_before
        learnt_before += 1
        learn_one(x)

    in_parts.learner.model.learn_one = counted  # type: ignore[method-assign]
    hearing = asyncio.create_task(in_parts.hear_deltas([record(delta)]))
    while not hearing.done():
        before = learnt_before
        await asyncio.sleep(0)
        turns, most_between = turns + 1, max(most_between, learnt_before - before)
    await at_once.hear_deltas([record(delta)])
    assert most_between == PART
    assert turns >= 10
    assert learnt_before == len(delta.interactions)
    for part, arrays in at_once.learner.components().items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(in_parts.learner.components()[part][name], array)


async def test_what_is_refused_in_a_long_delta_keeps_out_no_interaction_of_it() -> None:
    bad = {"click": {"nonsense": np.array([1.0])}}
    for at_once in (None, PART):
        hearer = replica()
        hearer._at_once = at_once
        await hearer.hear_deltas([record(Delta("other", 1, tuple(learnt(3 * PART).interactions), bad))])
        assert (hearer.stats["deltas_refused"], hearer.stats["deltas_heard"]) == (1, 0)
        assert hearer.learner.model._ticks == 3 * PART


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
