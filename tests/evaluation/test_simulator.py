"""The simulated world behaves as its truth says, and the same for the same seed."""

import numpy as np
import pytest

from evaluation.scoreboard import Scoreboard
from evaluation.simulator import World, WorldConfig
from evaluation.traffic import Plan, Slate, Traffic
from streams import validation
from streams.simulate import to_lines
from streams.validation import Rules

SMALL = WorldConfig(seed=5, users=40, items=80, new_items=20, new_item_every_ms=1_000)


def test_the_same_seed_makes_the_same_world_and_the_same_reactions() -> None:
    one, two, other = World(SMALL), World(SMALL), World(WorldConfig(seed=6, users=40, items=80))
    slate = one.oracle("u3", 10, 0)
    assert slate == two.oracle("u3", 10, 0)
    assert one.react("u3", slate, 7) == two.react("u3", slate, 7)
    assert list(one.visits(50.0, 2_000)) == list(two.visits(50.0, 2_000)) != list(other.visits(50.0, 2_000))


def test_what_one_user_is_shown_never_changes_what_another_does() -> None:
    alone, among = World(SMALL), World(SMALL)
    for _ in range(5):
        among.react("u1", among.random("u1", 10, 0), 0)
    slate = alone.oracle("u2", 10, 0)
    assert alone.react("u2", slate, 9) == among.react("u2", slate, 9)


def test_clicks_come_as_often_as_examination_times_probability_says() -> None:
    world = World(SMALL)
    slate = world.oracle("u0", 5, 0)
    shown = 4_000
    clicks = np.zeros(5)
    for _ in range(shown):
        for event in world.react("u0", slate, 0):
            if event["type"] == "click":
                clicks[slate.index(event["item_id"])] += 1
    for k, item in enumerate(slate):
        p = world.examine(k) * world.probability("u0", item, 0)
        assert clicks[k] / shown == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / shown)), k


def test_the_oracle_beats_popular_beats_random() -> None:
    world = World(WorldConfig(seed=2))
    board = Scoreboard(world)
    for ts, user in world.visits(20.0, 60_000):
        slate = world.oracle(user, 10, ts)
        world.react(user, slate, ts)
        board.add(user, slate, ts)
    rates = board.rates()
    assert rates["ctr_policy"] == rates["ctr_oracle"]
    assert rates["ctr_oracle"] > 2 * rates["ctr_popular"] > 2.5 * rates["ctr_random"] > 0
    assert board.regret() == 0.0
    assert sum(count for _, count, _ in board.curve()) == board.slates


def test_tastes_shift_when_they_should_and_for_whom_they_should() -> None:
    world = World(WorldConfig(seed=1, shift_after_ms=1_000, shift_share=0.5))
    changed = [
        user
        for user in world.user_ids
        if not np.array_equal(world.probabilities(user, 999), world.probabilities(user, 1_000))
    ]
    assert 0.4 < len(changed) / len(world.user_ids) < 0.6


def test_an_item_is_shown_by_nobody_before_it_arrived() -> None:
    world = World(SMALL)
    assert len(world.candidates(0)) == 80
    assert len(world.candidates(5_000)) == 85
    assert world.probability("u0", "i84", 4_999) == 0.0 < world.probability("u0", "i84", 5_000)
    assert [e["item_id"] for e in world.arrivals(5_000, after=3_000)] == ["i83", "i84"]
    assert not set(world.random("u0", 80, 0)) & {f"i{k}" for k in range(80, 100)}


def test_late_clicks_come_after_a_minute_and_most_do_not() -> None:
    world = World(WorldConfig(seed=3, late_share=0.2))
    delays = [
        event["ts"]
        for user in world.user_ids
        for event in world.react(user, world.oracle(user, 10, 0), 0)
        if event["type"] == "click"
    ]
    assert 0.1 < np.mean(np.array(delays) >= 60_000) < 0.3
    assert 1_500 < np.median(delays) < 6_000


def test_traffic_is_in_order_of_time_and_valid() -> None:
    world = World(SMALL)
    traffic = Traffic(world, Plan(rate_per_s=20.0, duration_s=20.0))
    rules = Rules(actions=frozenset({"click", "like"}))
    last, kinds, ids = -1, set(), set()
    for happening in traffic:
        assert happening.ts >= last
        last = happening.ts
        if happening.visit is not None:
            traffic.show(happening.visit, Slate(world.oracle(happening.visit, 5, last), "r"), last)
            kinds.add("visit")
        elif happening.event is not None:
            event = validation.event(validation.orjson.dumps(happening.event), last, rules)
            assert not isinstance(event, validation.Rejected), event
            assert event.event_id not in ids
            ids.add(event.event_id)
            kinds.add(event.type)
        elif happening.item is not None:
            item = validation.item(validation.orjson.dumps(happening.item), rules)
            assert not isinstance(item, validation.Rejected), item
            kinds.add("item")
    assert kinds == {"visit", "impression", "click", "action", "item"}
    assert traffic.board.slates > 300


def test_a_world_written_as_lines_is_the_same_twice() -> None:
    def written() -> list[bytes]:
        world, lines = World(SMALL), []
        to_lines(
            world,
            Plan(duration_s=5.0),
            lambda u, n, t, acted: Slate(world.popular(u, n, t, acted)),
            lines.append,
        )
        return lines

    assert written() == written() != []


@pytest.mark.parametrize(
    "wrong", [{"users": 0}, {"tags": 1}, {"tags": 99}, {"late_share": 1.5}, {"new_items": -1}]
)
def test_a_world_that_cannot_be_is_refused_with_the_name_at_fault(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WorldConfig(**wrong)  # type: ignore[arg-type]


def test_an_empty_slate_is_answered_with_nothing() -> None:
    world = World(SMALL)
    assert world.react("u0", [], 0) == []
    assert world.expected("u0", [], 0) == 0.0
    board = Scoreboard(world)
    board.add("u0", [], 0)
    assert board.rates()["ctr_policy"] is None


def test_an_unknown_item_is_never_clicked() -> None:
    world = World(SMALL)
    assert [e["type"] for e in world.react("u0", ["nobody-knows"], 0)] == ["impression"]
