"""A request is answered whatever fails within: with less, never with what may not be shown, and saying so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serving.types import SurfacePolicy
from tests.serving.world import ITEMS, World, shown


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")


def test_a_known_user_gets_as_many_items_as_asked_for_and_none_acted_on() -> None:
    world = World()
    slate = world.slate(world.user("i0", "i1"), n=6)
    assert len(slate.items) == 6
    assert not {"i0", "i1"} & set(shown(slate))
    assert (slate.degraded, slate.removed["seen"]) == ("", 2)
    assert [item.position for item in slate.items] == list(range(6))
    assert all(0.0 < item.probability < 1.0 for item in slate.items)


@pytest.mark.parametrize("acted", [0, 300])
def test_a_user_nobody_knows_is_never_left_empty_while_there_is_a_catalogue(acted: int) -> None:
    world = World(acted=acted)
    slate = world.slate(None, user_id="nobody", n=5)
    assert len(slate.items) == 5
    assert slate.degraded == ""


def test_there_is_nothing_to_show_where_there_is_no_catalogue() -> None:
    slate = World(items=(), acted=0).slate(None)
    assert (slate.items, slate.degraded) == ((), "")


def test_a_request_that_is_narrow_is_filled_up_from_what_fits() -> None:
    world = World(acted=0)
    slate = world.slate(None, n=12, tags=("even",), exclude=("i0",))
    assert sorted(shown(slate)) == sorted(["i2", "i4", "i6", "i8", "i10"])


def test_retired_excluded_and_unavailable_items_are_never_shown_however_the_slate_is_made() -> None:
    world = World(SurfacePolicy(randomised_share=0.3, new_item_share=0.5, swap_share=0.3))
    world.catalog.retire(world.number("i2"))
    world.learner.model.retire(world.number("i2"))
    world.describe("i4", available=False)
    for k in range(200):
        slate = world.slate(world.user("i0"), request_id=f"q{k}", n=12, exclude=("i6",))
        assert sorted(shown(slate)) == sorted(set(ITEMS) - {"i0", "i2", "i4", "i6"})


def test_reading_changes_nothing() -> None:
    world = World()
    before = world.learner.components()
    for k in range(50):
        world.slate(world.user("i0", "unheard of"), request_id=f"q{k}", surface="no such surface")
    for component, arrays in world.learner.components().items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, before[component][name], f"{component}.{name}")


# ---------------------------------------------------------------------- when a part is down


def test_a_source_that_fails_is_done_without_and_named() -> None:
    world = World()
    whole = world.slate(world.user("i0"), n=5)
    world.learner.model.covisits.touch = fail  # type: ignore[method-assign]
    slate = world.slate(world.user("i0"), n=5, request_id="r2")
    assert len(slate.items) == len(whole.items) == 5
    assert slate.degraded == "sources: covisits"
    assert "degraded" in slate.flags


@pytest.mark.parametrize(
    "breaking",
    [
        lambda w: setattr(w.recommender.retrieval, "candidates", fail),
        lambda w: setattr(w.learner.model.head, "order", fail),
        lambda w: setattr(w.recommender.selection, "select", fail),
        lambda w: setattr(w.learner.ranker, "logits", fail),
    ],
)
def test_whatever_stage_fails_the_last_good_list_is_served_and_the_fault_named(
    breaking: Callable[[World], None],
) -> None:
    world = World()
    record = world.user("i0")
    good = world.slate(record, n=5)
    breaking(world)
    record.act(good.items[0].number, 2_000_000_000_000)
    slate = world.slate(record, n=5, request_id="r2", exclude=(good.items[1].item_id,))
    assert shown(slate) == shown(good)[2:], "without what was acted on or excluded since"
    assert slate.request_id == "r2"
    assert slate.degraded == "pipeline: RuntimeError"
    assert slate.flags == ("degraded", "cached")
    assert world.recommender.stats["degraded"] == 1

    unknown = world.slate(None, user_id="nobody", n=5)
    assert len(unknown.items) == 5, "a user without a last good list is given what is trending or new"
    assert unknown.degraded == "pipeline: RuntimeError"


def test_when_everything_fails_the_answer_is_empty_and_nothing_is_raised() -> None:
    world = World()
    world.recommender.retrieval.candidates = fail  # type: ignore[method-assign]
    world.recommender.retrieval.reserves = fail  # type: ignore[method-assign]
    slate = world.slate(world.user("i0"))
    assert (slate.items, slate.degraded) == ((), "pipeline: RuntimeError")


def test_without_the_users_state_the_last_good_list_is_served_as_far_as_the_request_allows() -> None:
    world = World()
    good = world.slate(world.user("i0"), n=6)
    world.catalog.retire(good.items[1].number)
    slate = world.slate(None, n=6, request_id="r2", degraded="redis: away")
    assert shown(slate) == [shown(good)[0], *shown(good)[2:]]
    assert (slate.degraded, slate.policy, slate.features) == ("redis: away", "last_good", None)
    assert world.recommender.stats["degraded"] == 1
    narrow = world.slate(None, n=6, request_id="r3", degraded="redis: away", tags=("third",))
    assert all("third" in world.catalog.tags(item.number) for item in narrow.items)
    assert narrow.items


def test_without_the_users_state_and_without_a_last_good_list_others_are_served() -> None:
    world = World()
    slate = world.slate(None, user_id="nobody", degraded="redis: away")
    assert len(slate.items) == 5
    assert slate.degraded == "redis: away"
    nothing_left = world.slate(
        None, n=3, user_id="nobody", degraded="redis: away", exclude=tuple(shown(slate))
    )
    assert len(nothing_left.items) == 3


def test_a_degraded_slate_is_no_last_good_one() -> None:
    world = World()
    good = world.slate(world.user("i0"))
    world.slate(None, request_id="r2", degraded="redis: away")
    held = world.recommender.last_good.of_user("u", "default")
    assert held is not None
    assert held.request_id == good.request_id


def test_a_feature_that_is_missing_is_given_its_default_and_counted() -> None:
    world = World()
    windows = world.learner.counters.windows

    def broken(action: str, now: int) -> Any:
        return [(np.where(np.arange(len(t)) == 3, np.nan, t), factor) for t, factor in windows(action, now)]

    world.learner.counters.windows = broken  # type: ignore[method-assign]
    slate = world.slate(world.user("i0"), n=11)
    assert slate.features is not None
    assert np.isfinite(slate.features).all()
    at = shown(slate).index("i3")
    names = world.learner.features
    assert slate.features[at, names.index("item.seen")] == 0.0
    assert world.recommender.stats["features_missing"] >= 1


def test_an_explanation_names_sources_features_and_weights() -> None:
    world = World()
    slate = world.slate(world.user("i0", "i1"), explain=True)
    for item in slate.items:
        assert item.reasons is not None
        assert item.reasons.keys() >= {"sources", "order", "click", "features"}
        assert item.reasons["features"].keys() == set(world.learner.features)
    assert world.slate(world.user("i0", "i1")).items[0].reasons is None
