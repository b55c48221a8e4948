"""Each filter is one rule, told apart in a world small enough to see; nothing they remove vanishes uncounted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from online_models.history import UserRecord
from serving.filters import Asked, FilterChain, standard
from serving.types import SlateRequest, SurfacePolicy
from tests.serving.world import ITEMS, World

EVEN = {"i0", "i2", "i4", "i6", "i8", "i10"}
THIRD = {"i0", "i3", "i6", "i9"}


def removed(
    world: World, record: UserRecord, surface: SurfacePolicy | None = None, **asked: Any
) -> tuple[set[str], dict[str, int]]:
    """What the standard filters leave out of all there is, and what each says it removed."""
    request = SlateRequest(request_id="r", user_id="u", **asked)
    chain = FilterChain(
        standard(world.catalog, world.names), Asked(request, record, surface or SurfacePolicy())
    )
    ids = np.arange(len(world.names), dtype=np.int32)
    kept = chain(ids)
    return {world.names.name(i) for i in ids[~kept].tolist()}, {k: n for k, n in chain.removed.items() if n}


def test_nothing_is_left_out_for_a_new_user_who_asks_for_anything() -> None:
    world = World()
    assert removed(world, world.user()) == (set(), {})


def test_what_was_acted_on_is_left_out() -> None:
    world = World()
    assert removed(world, world.user("i3", "i5")) == ({"i3", "i5"}, {"seen": 2})


def test_what_was_only_disliked_is_left_out_too() -> None:
    world, record = World(), UserRecord()
    record.pass_over(world.number("i4"))
    assert removed(world, record) == ({"i4"}, {"seen": 1})


def test_a_surface_for_repeat_consumption_shows_it_again() -> None:
    world = World()
    assert removed(world, world.user("i3"), SurfacePolicy(seen="none")) == (set(), {})


def test_what_was_shown_often_in_vain_is_left_out_where_the_surface_says_so() -> None:
    world = World()
    record = world.user(shown={"i1": 2, "i2": 3, "i3": 9})
    assert removed(world, record, SurfacePolicy(seen="fatigue", fatigue_k=3)) == (
        {"i2", "i3"},
        {"fatigue": 2},
    )
    assert removed(world, record) == (set(), {})


def test_what_is_retired_or_not_to_be_had_is_left_out() -> None:
    world = World()
    world.catalog.retire(world.number("i1"))
    world.describe("i2", available=False)
    assert removed(world, world.user()) == ({"i1", "i2"}, {"catalog": 2})
    world.describe("i1")
    world.describe("i2")
    assert removed(world, world.user()) == (set(), {})


def test_what_the_request_names_is_left_out() -> None:
    world = World()
    assert removed(world, world.user(), exclude=("i7", "nobody knows this")) == ({"i7"}, {"excluded": 1})


@pytest.mark.parametrize(
    ("veto", "gone"),
    [
        ("item:i5", {"i5"}),
        ("tag:even", EVEN),
        ("provider:p1", {"i1", "i4", "i7", "i10"}),
        ("tag:unknown", set()),
    ],
)
def test_what_a_user_never_wants_to_see_is_left_out(veto: str, gone: set[str]) -> None:
    world = World()
    assert removed(world, world.user(vetoes=[veto]))[0] == gone


def test_a_request_may_be_restricted_to_tags_and_providers() -> None:
    world, everything = World(), set(ITEMS)
    assert removed(world, world.user(), tags=("even", "third"))[0] == everything - EVEN - THIRD
    assert removed(world, world.user(), providers=("p0",))[0] == everything - THIRD
    assert removed(world, world.user(), tags=("even",), providers=("p0",))[0] == everything - {"i0", "i6"}
    assert removed(world, world.user(), tags=("no such tag",))[0] == everything


def test_every_candidate_is_kept_or_counted_by_the_first_rule_that_objects() -> None:
    world = World()
    world.catalog.retire(world.number("i0"))
    record = world.user("i0", "i1", vetoes=["item:i1", "item:i2"])
    gone, counts = removed(world, record, exclude=("i2", "i3"), tags=("even",))
    assert counts == {"catalog": 1, "seen": 1, "vetoed": 1, "excluded": 1, "restricted": 4}
    assert gone == {"i0", "i1", "i2", "i3", "i5", "i7", "i9", "i11"}
    assert sum(counts.values()) == len(gone)
