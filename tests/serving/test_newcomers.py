"""A new item gets its share of exposure and no more, wherever in the catalogue it stands."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from online_models.counters import IMPRESSION
from serving.newcomers import NEW_BELOW
from serving.types import Slate, SurfacePolicy
from tests.serving.world import NOW, World, shown

PLAIN = {"randomised_share": 0.0, "swap_share": 0.0, "new_item_share": 0.0, "diversity": 0.0}
IMPORTED = 2_000


def imported(surface: SurfacePolicy, **more: bool) -> World:
    """Items that everybody knows, and thousands that came at once, with no word about them."""
    world = World(surface, **more)  # type: ignore[arg-type]
    for k in range(12):
        for _ in range(NEW_BELOW):
            world.learner.counters.update(k, IMPRESSION, NOW)
    for k in range(IMPORTED):
        world.describe(f"n{k}")
    return world


def seen(world: World, slate: Slate) -> list[str]:
    """Somebody looks at a slate; the new items in it."""
    for item in slate.items:
        world.learner.counters.update(item.number, IMPRESSION, NOW)
    return [name for name in shown(slate) if name.startswith("n")]


def test_items_no_source_proposes_are_shown_by_requests_that_explore_and_only_those() -> None:
    world = imported(SurfacePolicy(**{**PLAIN, "new_item_share": 1.0}))
    new = {name for k in range(400) for name in seen(world, world.slate(request_id=f"r{k}", n=6))}
    assert len(new) > 100, "far more than the newest twenty"
    still = imported(SurfacePolicy(**PLAIN))
    known = (
        {f"i{k}" for k in range(12)}
        | {f"n{k}" for k in range(IMPORTED - 50, IMPORTED)}
        | {f"n{k}" for k in range(50)}
    )
    assert {name for k in range(50) for name in shown(still.slate(request_id=f"r{k}", n=6))} <= known


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_new_items_get_the_share_that_is_set_one_slot_a_slate_and_the_flag_counts_it(share: float) -> None:
    world = imported(SurfacePolicy(**{**PLAIN, "new_item_share": share}))
    user = world.user("i0")
    plain = imported(SurfacePolicy(**PLAIN))
    asked = 2_000
    given = Counter[int]()
    flagged = 0
    for k in range(asked):
        slate = world.slate(user, request_id=f"r{k}", n=6)
        usual = {name for name in shown(plain.slate(user, request_id=f"r{k}", n=6)) if name.startswith("n")}
        added = [name for name in seen(world, slate) if name not in usual]
        given[len(added)] += 1
        flagged += "new_item_slot" in slate.flags
    assert abs(flagged / asked - share) < 4.0 * np.sqrt(share * (1.0 - share) / asked)
    assert set(given) <= {0, 1}, "never two of a slate"
    assert given[1] <= flagged


def test_an_item_is_new_until_enough_have_seen_it_and_then_stands_on_its_own() -> None:
    world = World(SurfacePolicy(**{**PLAIN, "new_item_share": 1.0}))
    for k in range(12):
        for _ in range(NEW_BELOW):
            world.learner.counters.update(k, IMPRESSION, NOW)
    world.describe("newcomer")
    user, flags = world.user("i0"), []
    for k in range(3 * NEW_BELOW):
        slate = world.slate(user, request_id=f"r{k}", n=6)
        flags.append("new_item_slot" in slate.flags)
        world.learner.counters.update(world.number("newcomer"), IMPRESSION, NOW)
        assert flags[-1] == (k < NEW_BELOW)
        assert not flags[-1] or "newcomer" in shown(slate)


def test_a_retry_takes_the_same_items_along_and_the_kill_switch_takes_none() -> None:
    world = imported(SurfacePolicy(**PLAIN))
    draw = world.recommender.newcomers.draw
    assert draw("r1").tolist() == draw("r1").tolist() != draw("r2").tolist()
    assert len(draw("r1")) == 10
    off = imported(SurfacePolicy(randomised_share=1.0, new_item_share=1.0), exploring=False)
    slates = [off.slate(request_id=f"r{k}", n=6) for k in range(30)]
    assert len({tuple(shown(slate)) for slate in slates}) == 1


def test_what_may_not_be_shown_is_not_drawn() -> None:
    world = imported(SurfacePolicy(**PLAIN))
    for k in range(IMPORTED):
        if k % 2:
            world.catalog.retire(world.number(f"n{k}"))
    drawn = {int(i) for k in range(100) for i in world.recommender.newcomers.draw(f"r{k}")}
    assert drawn
    assert all(int(world.names.name(i)[1:]) % 2 == 0 for i in drawn)
