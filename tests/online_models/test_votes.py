"""One vote per (user, pair) a day: exact after restarts, for anybody, in whatever order events come."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models import deltas, history
from online_models.base import RECENT, Interaction, Query
from online_models.fold_policy import FoldPolicy
from online_models.history import UserRecord
from online_models.model import Model
from online_models.sources.covisits import Covisits
from tests.online_models.test_state import click, fold_of, run

DAY = 86_400_000
HOUR = 3_600_000


def votes(x: Interaction) -> set[int]:
    """The earlier items that vote for the item of an interaction."""
    return {item for k, item in enumerate(x.recent) if not x.voted >> k & 1}


def act(record: UserRecord, item: int, ts: int) -> set[int]:
    """An action as the fold has it: the earlier items that get a vote."""
    record.spend(ts, 500)
    before = record.query(0, ts)
    x = Interaction(0, item, ts, before.recent, before.recent_ts, 1.0, record.voted(item, ts))
    record.act(item, ts)
    return votes(x)


def test_going_to_and_fro_between_two_items_gives_each_pair_one_vote_a_day() -> None:
    told = run(fold_of(), *[click("ab"[k % 2], 1_000 * (k + 1)) for k in range(20)])
    cast = [(earlier, x.item) for x in told.interactions for earlier in votes(x)]
    assert sorted(cast) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert told.stats["votes_spent"] > 0


def test_the_next_day_every_pair_votes_again() -> None:
    record = UserRecord()
    for ts in (0, 1_000, 2_000):
        act(record, 7, ts)
        act(record, 8, ts)
    assert act(record, 8, HOUR) == set()
    assert act(record, 8, DAY) == {7, 8}


def test_another_user_has_votes_of_their_own() -> None:
    told = run(
        fold_of(), *[click(item, ts, user=user) for user in "uv" for ts, item in ((1_000, "a"), (2_000, "b"))]
    )
    assert [votes(x) for x in told.interactions] == [set(), {0}, set(), {0}]


def test_a_robot_of_one_user_moves_a_co_visit_no_more_than_a_reader_does_in_a_day() -> None:
    robot, reader = fold_of(), fold_of()
    lists = {}
    for name, fold, times in (("robot", robot, 100), ("reader", reader, 1)):
        lists[name] = Covisits(width=10)
        for k in range(times):
            for x in run(fold, click("a", 2_000 * k + 1_000), click("b", 2_000 * k + 2_000)).interactions:
                lists[name].learn_one(x)
    told = {name: c.lists.row(0)[1][0] for name, c in lists.items()}
    assert 0.0 < told["robot"] < 2.1 * told["reader"]  # a then b, and b then a


cycle = st.lists(st.tuples(st.integers(0, 70), st.integers(0, 40)), min_size=1, max_size=250)


@given(cycle, st.booleans())
def test_no_pair_ever_has_two_votes_a_day_however_long_the_history_and_however_often_it_restarts(
    steps: list[tuple[int, int]], restart: bool
) -> None:
    record, seen, ts = UserRecord(), set(), 0
    for item, pause in steps:
        ts += pause * 100_000
        if restart:
            record = history.decode(history.encode(record))
        for earlier in act(record, item, ts):
            assert (earlier, item, ts // DAY) not in seen
            seen.add((earlier, item, ts // DAY))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3 * DAY)), max_size=120))
def test_nor_when_events_come_in_any_order(steps: list[tuple[int, int]]) -> None:
    record, seen = UserRecord(), set()
    for item, ts in steps:
        for earlier in act(record, item, ts):
            assert (earlier, item, ts // DAY) not in seen
            seen.add((earlier, item, ts // DAY))


@given(st.lists(st.integers(0, 30), max_size=RECENT))
def test_within_a_history_that_never_overflowed_exactly_the_pairs_that_have_voted_have_none_left(
    items: list[int],
) -> None:
    record, seen = UserRecord(), set()
    for k, item in enumerate(items):
        expected = {earlier for earlier in record.recent_items if (earlier, item) not in seen}
        assert act(record, item, 1_000 * k) == expected
        seen.update((earlier, item) for earlier in items[:k])


def test_a_robot_in_a_circle_of_more_items_than_a_history_holds_has_no_second_vote_either() -> None:
    record = UserRecord()
    first = [act(record, k, 1_000 * k) for k in range(60)]
    again = [act(record, k, 1_000 * (60 + k)) for k in range(60)]
    assert sum(map(len, first)) > 1_000
    assert all(earlier > k for k, told in enumerate(again) for earlier in told)  # never in this order before


def test_what_left_the_history_today_costs_nothing_tomorrow() -> None:
    record = UserRecord()
    for k in range(120):
        act(record, k, 1_000 * k)
    assert len(record.passed) == 70
    assert history.decode(history.encode(record)) == record
    record.spend(DAY, 500)
    plain = UserRecord()
    assert history.encode(record)[0] == history.encode(plain)[0] == 1


def test_a_user_of_fifty_events_takes_not_a_byte_more_for_it() -> None:
    record = UserRecord()
    for k in range(50):
        act(record, k % 7, 1_000 * k)
    assert len(history.encode(record)) == 24 + 2 * 3 * 50


def test_a_late_click_pairs_with_what_came_before_it_and_not_with_what_came_after() -> None:
    record = UserRecord()
    act(record, 1, 1_000)
    act(record, 2, 9_000)
    assert act(record, 3, 5_000) == {1}


def test_votes_travel_with_what_workers_tell_each_other() -> None:
    x = Interaction(5, 3, 2_000, (2, 1), (1_000, 500), 1.0, voted=0b10)
    (heard,) = deltas.decode(deltas.encode(deltas.Delta("w", 1, (x,)))).interactions
    assert heard == x
    full = dataclasses.replace(
        x, recent=tuple(range(RECENT)), recent_ts=(0,) * RECENT, voted=(1 << RECENT) - 1
    )
    assert deltas.decode(deltas.encode(deltas.Delta("w", 1, (full,)))).interactions == (full,)


def test_what_is_beyond_the_cap_of_items_takes_its_votes_along() -> None:
    model = Model(items=10)
    x = Interaction(1, 3, 2_000, (4, 99, 5), (1_000, 900, 800), 1.0, voted=0b100)
    assert model._within(x).voted == 0b10
    assert votes(model._within(x)) == {4}


@pytest.mark.parametrize("voted", [0b01, 0b11])
def test_a_pair_without_a_vote_teaches_neither_co_visits_nor_the_embedding(voted: int) -> None:
    free, spent = Model(), Model()
    for model, mask in ((free, 0), (spent, voted)):
        for k in range(30):
            model.learn_one(Interaction(k, 1, k))
            model.learn_one(Interaction(k, 2, k, (1,), (k,), 1.0, mask))
    ask = Query(99, (1,), (40,), 41)
    assert free.propose(ask)["covisits_1"][0].tolist() == [2]
    assert spent.propose(ask)["covisits_1"][0].tolist() == []
    assert not np.array_equal(free.embedding.arrays()["outer"], spent.embedding.arrays()["outer"])


def test_past_the_day_cap_nobody_votes_at_all() -> None:
    told = run(
        fold_of(FoldPolicy(events_per_day=2)), *[click(item, 1_000 * k) for k, item in enumerate("abc")]
    )
    assert [x.item for x in told.interactions] == [0, 1]
