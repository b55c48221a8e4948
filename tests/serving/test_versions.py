"""Experiments and versions in the answers: who gets what, what the log says of it, what a switch changes at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from online_models.labels import Kind, Labelled
from online_models.registry import Change, Registry
from online_models.state import Outcome
from serving.experiments import parse
from serving.types import Slate, SlateRequest, SurfacePolicy
from serving.wire import answer, exposure, recommendation
from tests.serving.world import NOW, World

USERS = [f"u{k}" for k in range(60)]


def slates(world: World, **asked: Any) -> dict[str, Slate]:
    recommender = world.recommender
    return {
        user: recommender.recommend(
            SlateRequest(request_id=f"r-{user}", user_id=user, n=4, **asked), None, NOW
        )
        for user in USERS
    }


def registry_of(*steps: tuple[str, dict[str, Any]]) -> Registry:
    registry = Registry()
    for k, (what, more) in enumerate(steps):
        made = Change(id=str(k), ts=k, who="ann", what=what, **{"version": "v2", **more})  # type: ignore[arg-type]
        assert registry.apply(made) == ""
    return registry


SHADOW = (("register", {"details": {"rate": 0.5, "warm": False}}), ("promote", {}))
CANARY = (*SHADOW, ("promote", {"share": 0.5}))


def acted(world: World, times: int = 30) -> None:
    """Users act on what they were shown, the last of it."""
    for k in range(times):
        slate = world.recommender.recommend(SlateRequest(request_id=f"a{k}", user_id=f"u{k}", n=4), None, NOW)
        assert slate.candidates is not None
        assert slate.features is not None
        for heads in world.learner.heads.values():
            heads.learn_order(slate.candidates, slate.items[-1].number)
        labels = [
            Labelled(item.number, Kind.POSITIVE if place == 3 else Kind.NEGATIVE,
                     slate.features[place].astype(np.float32), world.learner.schema, place, "default", 0.1, 1.0, ts=NOW)
            for place, item in enumerate(slate.items)
        ]  # fmt: skip
        world.learner.learn(Outcome(labelled=labels))


def test_a_variant_changes_the_slate_and_stands_in_the_log_and_in_the_answer() -> None:
    world = World(SurfacePolicy(randomised_share=0.0, new_item_share=0.0))
    world.recommender.treatments.declare(
        parse("""
layers:
  l:
    experiments:
      fewer:
        {start: 2020-01-01T00:00:00Z, end: 2030-01-01T00:00:00Z, traffic: 1,
         variants: {control: {}, short: {overrides: {recommend_n: 2, randomised_share: 1.0}}}}
""")
    )
    given = slates(world, n_asked=False)
    assert {(slate.variant, len(slate.items), slate.policy) for slate in given.values()} == {
        ("l:fewer/control", 4, "greedy"), ("l:fewer/short", 2, "plackett_luce:1:0.1"),
    }  # fmt: skip
    assert {len(slate.items) for slate in slates(world).values()} == {4}, (
        "what a request names is not overridden"
    )
    slate = given["u0"]
    assert exposure(slate, NOW)["context"]["variant"] == slate.variant
    assert answer(slate, NOW)["variant"] == slate.variant
    assert recommendation(slate, NOW, freshness_ms=1, caused_by="c")["variant"] == slate.variant


def test_a_canary_answers_its_users_with_its_own_heads_and_says_so() -> None:
    world = World(SurfacePolicy(randomised_share=0.0, new_item_share=0.0))
    world.recommender.follow(registry_of(*CANARY))
    acted(world)
    given = slates(world)
    versions = {slate.variant: slate.model_version.split("-")[0] for slate in given.values()}
    assert versions == {"model:v2/canary": "v2", "model:v2/live": "base"}


def test_a_challenger_learns_in_the_shadow_from_the_same_stream_and_answers_nobody() -> None:
    world = World()
    world.recommender.follow(registry_of(*SHADOW))
    acted(world)
    base, challenger = (world.learner.heads[name] for name in ("base", "v2"))
    assert base.ordering.examples == challenger.ordering.examples > 0
    assert base.ranker.examples == challenger.ranker.examples > 0
    assert {slate.model_version.split("-")[0] for slate in slates(world).values()} == {"base"}
    assert not np.allclose(base.ordering.parameters["linear"], challenger.ordering.parameters["linear"])


def test_a_rollback_brings_back_the_version_before_as_it_was_and_stops_learning() -> None:
    world = World()
    world.recommender.follow(registry_of(*CANARY, ("promote", {})))
    before = world.learner.heads["base"].ordering.parameters["linear"].copy()
    acted(world)
    assert slates(world)["u0"].model_version.startswith("v2-")
    world.recommender.follow(registry_of(*CANARY, ("promote", {}), ("rollback", {})))
    assert slates(world)["u0"].model_version.startswith("base-")
    np.testing.assert_array_equal(world.learner.heads["base"].ordering.parameters["linear"], before)
    examples = world.learner.ranker.examples
    acted(world, 5)
    assert world.learner.ranker.examples == examples
    assert world.learner.stats["frozen"]


def test_exploration_is_switched_off_and_on_while_slates_are_made() -> None:
    world = World(SurfacePolicy(randomised_share=1.0))
    assert {"randomised"} <= set(slates(world)["u0"].flags)
    world.recommender.follow(registry_of(("explore", {"on": False, "version": ""})))
    assert {flag for slate in slates(world).values() for flag in slate.flags} == set()
    world.recommender.follow(registry_of())
    assert {"randomised"} <= set(slates(world)["u0"].flags)


def test_what_a_challenger_learnt_reaches_other_processes_and_their_snapshots() -> None:
    one, other = World(), World()
    for world in (one, other):
        world.recommender.follow(registry_of(*SHADOW))
    acted(one)
    _, told = one.learner.take()
    assert {"ordering@v2", "click@v2", "calibration@v2"} <= set(told)
    for heads in other.learner.heads.values():
        assert heads.merge(told, labelled_here=False) == ""
    moved = other.learner.heads["v2"].ordering.parameters["linear"]
    assert not np.allclose(moved, World().learner.model.head.parameters["linear"])
    third = World()
    third.learner.load(one.learner.components())
    third.recommender.follow(registry_of(*SHADOW))
    for a, b in zip(third.learner.heads["v2"].components().values(), one.learner.heads["v2"].components().values(),
                    strict=True):  # fmt: skip
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_warm_challenger_begins_where_the_live_version_is() -> None:
    world = World()
    acted(world)
    world.recommender.follow(registry_of(("register", {"details": {"rate": 0.1}}), ("promote", {})))
    base, challenger = (world.learner.heads[name].ordering for name in ("base", "v2"))
    np.testing.assert_array_equal(base.parameters["linear"], challenger.parameters["linear"])
    assert challenger.take_delta() == {}
