"""How the slots are filled: the best first, or by draws whose logged probabilities are those they were drawn by."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from scipy import stats

from online_models.chance import stable_hash
from serving.types import SurfacePolicy
from tests.serving.world import World, shown

DRAWS = 100_000
PLAIN = {"randomised_share": 0.0, "swap_share": 0.0, "new_item_share": 0.0, "diversity": 0.0}


def test_a_greedy_slate_is_the_best_by_score_in_order() -> None:
    world = World(SurfacePolicy(**PLAIN))
    slate = world.slate(world.user("i0"), n=4)
    whole = world.slate(world.user("i0"), n=11)
    scores = [item.score for item in whole.items]
    assert scores == sorted(scores, reverse=True)
    assert shown(slate) == shown(whole)[:4]
    assert [item.propensity for item in slate.items] == [1.0] * 4
    assert (slate.policy, slate.flags) == ("greedy", ())


def test_drawn_slates_come_as_often_as_their_logged_propensities_say() -> None:
    """Whole requests: sources, filters, diversity and the cap on tags, then one draw a slot."""
    surface = SurfacePolicy(randomised_share=1.0, diversity=0.3, per_tag_cap=1, uniform_floor=0.2)
    world = World(surface, items=[f"i{k}" for k in range(8)])
    record = world.user("i1", vetoes=["item:i5"])
    drawn: Counter[tuple[str, ...]] = Counter()
    told: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for k in range(DRAWS):
        slate = world.slate(record, request_id=f"d{k}", n=3, exclude=("i7",))
        assert slate.flags == ("randomised",)
        items = tuple(shown(slate))
        for slot, item in enumerate(slate.items):
            drawn[items[: slot + 1]] += 1
            before = told[items[:slot]].setdefault(item.item_id, item.propensity)
            assert abs(before - item.propensity) < 1e-12, "one prefix, two propensities"
    assert {item for row in told.values() for item in row} == {"i0", "i2", "i3", "i4", "i6"}
    assert all(sum(row.values()) <= 1.0 + 1e-9 for row in told.values())
    for slot in range(3):
        prefixes = [prefix for prefix in told if len(prefix) == slot]
        assert (
            _fit(
                [(drawn[p] if p else DRAWS, {i: drawn[(*p, i)] for i in told[p]}, told[p]) for p in prefixes]
            )
            > 1e-4
        )


def test_logged_propensities_hold_while_the_weights_move_between_draws() -> None:
    """Of each item that may come next, 1 over its propensity whenever it is drawn has the mean 1 (Horvitz-Thompson)."""
    surface = SurfacePolicy(randomised_share=1.0, diversity=0.3, uniform_floor=0.3)
    world = World(surface, items=[f"i{k}" for k in range(8)])
    rng = np.random.default_rng(4)
    record = world.user("i1")
    eligible = {f"i{k}" for k in range(8)} - {"i1"}
    told: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    moved = set()
    for k in range(20_000):
        slate = world.slate(record, request_id=f"m{k}", n=3)
        items = shown(slate)
        for slot, item in enumerate(slate.items):
            for other in eligible.difference(items[:slot]):
                told[slot, other].append(1.0 / item.propensity if other == item.item_id else 0.0)
        if k % 4 == 0:
            assert slate.candidates is not None
            world.learner.model.learn_order(slate.candidates, world.number(items[int(rng.integers(3))]))
            moved.add(round(slate.items[0].score, 3))
    assert len(moved) > 100, "the weights were to move"
    for (slot, item), weights in told.items():
        error = np.std(weights) / np.sqrt(len(weights))
        assert abs(np.mean(weights) - 1.0) < 4.5 * error, f"{item} in slot {slot}"


def _fit(tables: list[tuple[int, dict[str, int], dict[str, float]]]) -> float:
    """The p-value of a chi-square over the tables (draws, found, propensity) whose cells are large enough."""
    statistic, freedom = 0.0, 0
    for draws, found, propensity in tables:
        if draws < 200:
            continue
        expected = {item: draws * p for item, p in propensity.items() if draws * p >= 5.0}
        statistic += sum((found[item] - e) ** 2 / e for item, e in expected.items())
        freedom += len(expected) - 1
    assert freedom > 0
    return float(stats.chi2.sf(statistic, freedom))


def test_about_the_share_of_requests_is_drawn_and_a_retry_is_drawn_alike() -> None:
    world = World(SurfacePolicy(randomised_share=0.2))
    slates = [world.slate(world.user("i0"), request_id=f"s{k}") for k in range(600)]
    drawn = [slate for slate in slates if "randomised" in slate.flags]
    assert 80 < len(drawn) < 160
    for slate in drawn[:20]:
        again = world.slate(world.user("i0"), request_id=slate.request_id)
        assert again.items == slate.items


def test_with_the_kill_switch_nothing_is_drawn_swapped_or_given_to_new_items() -> None:
    wild = SurfacePolicy(randomised_share=1.0, swap_share=1.0, new_item_share=1.0)
    world = World(wild, exploring=False)
    assert {world.slate(world.user("i0"), request_id=f"k{k}").flags for k in range(50)} == {()}
    plain = World(SurfacePolicy(randomised_share=0.0, swap_share=0.0, new_item_share=0.0))
    assert shown(world.slate(world.user("i0"))) == shown(plain.slate(plain.user("i0")))


def test_no_tag_stands_in_more_slots_than_the_cap_allows_while_others_are_left() -> None:
    capped = World(SurfacePolicy(**{**PLAIN, "randomised_share": 1.0}, per_tag_cap=2))
    for k in range(100):
        slate = capped.slate(request_id=f"t{k}", n=6)
        tags = Counter(tag for item in slate.items for tag in capped.catalog.tags(item.number))
        assert max(tags.values()) <= 2
    assert len(capped.slate(n=12).items) == 12, "a full slate is worth more than the rule"


def test_one_slot_below_the_third_goes_to_an_item_hardly_anybody_has_seen() -> None:
    world = World(SurfacePolicy(**{**PLAIN, "new_item_share": 1.0}))
    world.describe("newcomer", tags=["even"])
    world.learner.model.newest.note(world.number("newcomer"), 1)
    new = {i for i in range(len(world.names)) if world.learner.counters.get(i, "impression") < 30}
    assert world.number("newcomer") in new
    for k in range(60):
        slate = world.slate(world.user("i0"), request_id=f"n{k}", n=6)
        assert slate.flags == ("new_item_slot",)
        slot = min(3 + stable_hash("new slot", f"n{k}") % 3, 5)
        assert slate.items[slot].number in new
        assert [item.propensity for item in slate.items] == [1.0] * 6


def test_a_swap_exchanges_one_neighbouring_pair_and_says_which() -> None:
    world, plain = World(SurfacePolicy(**{**PLAIN, "swap_share": 1.0})), World(SurfacePolicy(**PLAIN))
    greedy = shown(plain.slate(plain.user("i0")))
    uppers = set()
    for k in range(60):
        slate = world.slate(world.user("i0"), request_id=f"w{k}")
        upper = slate.swapped
        assert upper is not None
        swapped = list(greedy)
        swapped[upper], swapped[upper + 1] = swapped[upper + 1], swapped[upper]
        assert shown(slate) == swapped
        assert slate.flags == ("swapped",)
        uppers.add(upper)
    assert uppers == set(range(4))


def test_scores_that_are_not_finite_sink_and_nothing_fails() -> None:
    world = World(SurfacePolicy(**PLAIN))
    order = world.learner.model.head.order
    world.learner.model.head.order = lambda c: np.where(c.ids == 2, np.nan, order(c))  # type: ignore[method-assign]
    slate = world.slate(world.user("i0"), n=11)
    assert shown(slate)[-1] == "i2"
    assert slate.degraded == ""


def test_a_pinned_item_stands_where_it_is_pinned_with_propensity_one_and_nowhere_else() -> None:
    world = World(SurfacePolicy(randomised_share=0.5, swap_share=0.5, new_item_share=0.5))
    drawn = 0
    for k in range(60):
        slate = world.slate(world.user("i0"), request_id=f"p{k}", n=5, pins={"i11": 1, "i9": 3})
        assert (shown(slate)[1], shown(slate)[3]) == ("i11", "i9")
        assert len(set(shown(slate))) == 5
        assert (slate.items[1].propensity, slate.items[3].propensity) == (1.0, 1.0)
        assert "pinned" in slate.flags
        assert not {"swapped", "new_item_slot"} & set(slate.flags)
        drawn += "randomised" in slate.flags
        if "randomised" in slate.flags:
            assert slate.items[0].propensity < 1.0
    assert 15 < drawn < 45


def test_a_pinned_item_that_a_filter_removes_or_nobody_knows_leaves_its_slot_to_the_others() -> None:
    world = World(SurfacePolicy(**PLAIN))
    usual = world.slate(world.user("i0"), n=4)
    slate = world.slate(world.user("i0"), n=4, pins={"i0": 0, "nobody": 1})
    assert shown(slate) == shown(usual)
    assert slate.flags == ()
    vetoed = world.user("i0", vetoes=["item:i11"])
    assert "i11" not in shown(world.slate(vetoed, n=4, pins={"i11": 0}))


def test_an_item_that_no_source_proposes_can_be_pinned() -> None:
    world = World(SurfacePolicy(**PLAIN), items=[f"i{k}" for k in range(400)])
    slate = world.slate(world.user("i0"), n=3, pins={"i399": 2})
    assert shown(slate)[2] == "i399"
    assert slate.features is not None
