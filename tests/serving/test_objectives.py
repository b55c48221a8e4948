"""Weights decide what a slate is made for: of settings, changed live, or those of an experiment's variant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from online_models.labels import Kind, Labelled
from online_models.objective_weights import CLICKS, Weights
from online_models.objectives import Objectives
from online_models.registry import Change, Registry
from online_models.windows import Window
from serving import wire
from serving.experiments import parse
from serving.types import Slate, SurfacePolicy
from tests.serving.world import NOW, World, shown

SALES = {"click": 1.0, "purchase": 50.0, "dislike": -5.0}
PLAIN = {"randomised_share": 0.0, "swap_share": 0.0, "new_item_share": 0.0, "diversity": 0.0}
WINDOWS = {"purchase": Window(3_600_000, after_click=True), "dislike": Window(60_000)}


def shop(objectives: Weights = CLICKS, **surface: object) -> World:
    """Item ``i9`` is hardly clicked and bought by all who click; ``i0`` is clicked and disliked; no other is either."""
    world = World(SurfacePolicy(objectives=objectives, **{**PLAIN, **surface}))  # type: ignore[arg-type]
    learner = world.learner
    learner.objectives = Objectives(learner.features, WINDOWS)
    for k in range(1_200):
        item = k % 12
        learner.objectives.learn(label(learner.features, item, "purchase", item == 9, k))
        learner.objectives.learn(label(learner.features, item, "dislike", item == 0, k))
    return world


def label(features: Sequence[str], item: int, action: str, came: bool, k: int) -> Labelled:
    row = np.random.default_rng(k).normal(0.0, 1e-3, len(features)).astype(np.float32)
    kind = Kind.POSITIVE if came else Kind.NEGATIVE
    return Labelled(
        item, kind, row, "s", 0, "default", 0.1, 1.0, ts=NOW - 1_000_000 + k, action=action, value=float(came)
    )


def weighed(world: World, weights: dict[str, float] | None, surface: str = "default") -> str:
    """Weights as an operator changes them."""
    registry = Registry()
    details = {"surface": surface, "weights": weights or {}}
    refused = registry.apply(Change(id="1", ts=1, who="ann", what="weigh", details=details))
    world.recommender.follow(registry)
    return refused


def test_by_default_the_order_is_that_of_clicks_to_the_last_digit_and_nothing_else_is_logged() -> None:
    plain, weighted = World(SurfacePolicy(**PLAIN)), shop(Weights.parse({"click": 3}))  # type: ignore[arg-type]
    for user in ("ann", "bo", "cy"):
        a, b = (world.slate(user_id=user, n=12) for world in (plain, weighted))
        assert [(i.item_id, i.score) for i in a.items] == [(i.item_id, i.score) for i in b.items]
        assert a.aims is None and b.aims is None
        assert wire.exposure(a, NOW) == wire.exposure(b, NOW)
        assert wire.answer(a, NOW)["objectives"] == "click"


def test_weights_put_what_is_bought_first_and_what_is_disliked_last() -> None:
    by_clicks = shown(shop().slate(n=12))
    by_sales = shown(shop(Weights.parse(SALES)).slate(n=12))
    assert by_clicks[0] == "i0" and by_clicks.index("i9") > 5
    assert by_sales[0] == "i9" and by_sales[-1] == "i0"


def test_an_exposure_holds_the_weights_their_version_and_what_each_head_said() -> None:
    slate = shop(Weights.parse(SALES)).slate(n=3)
    told = wire.exposure(slate, NOW)["context"]["objectives"]
    assert told["version"] == Weights.parse(SALES).version and told["weights"] == SALES
    assert {name: len(said) for name, said in told["said"].items()} == {
        "click": 3,
        "purchase": 3,
        "dislike": 3,
    }
    assert told["said"]["purchase"][0] > 0.8 > 0.1 > max(told["said"]["purchase"][1:])
    assert wire.answer(slate, NOW)["objectives"] == told["version"]
    assert wire.recommendation(slate, NOW, freshness_ms=None, caused_by="c")["objectives"] == told["version"]


def test_an_explained_item_says_what_it_is_worth_and_why() -> None:
    first = shop(Weights.parse(SALES)).slate(n=3, explain=True).items[0]
    told = first.reasons["objectives"]  # type: ignore[index]
    said = told["said"]
    value = said["click"] + 50 * said["click"] * said["purchase"] - 5 * said["dislike"]
    assert told["value"] == pytest.approx(value, abs=1e-4) and told["after_click"] == ["purchase"]


def test_weights_changed_live_hold_from_the_next_slate_on_and_can_be_taken_back() -> None:
    world = shop()
    before = shown(world.slate(request_id="1", n=12))
    assert weighed(world, SALES) == ""
    assert shown(world.slate(request_id="2", n=12))[0] == "i9"
    assert weighed(world, {"dislike": 1.0, "click": -1.0}, surface="another") == ""
    assert shown(world.slate(request_id="3", n=12)) == before
    weighed(world, SALES)
    assert weighed(world, None) == ""
    assert shown(world.slate(request_id="4", n=12)) == before


def test_weights_of_one_surface_are_those_of_no_other() -> None:
    world = shop()
    world.recommender.treatments._declared = {
        "default": SurfacePolicy(**PLAIN),
        "cart": SurfacePolicy(**PLAIN),
    }  # type: ignore[arg-type]
    weighed(world, SALES, "cart")
    firsts = [world.slate(request_id=s, surface=s).items[0].item_id for s in ("default", "cart")]
    assert firsts == ["i0", "i9"]


def test_a_change_that_does_not_hold_has_no_effect_and_says_why() -> None:
    world = shop()
    assert "above 0" in weighed(world, {"click": -1.0})
    assert "surface" in weighed(world, SALES, surface="")
    assert shown(world.slate(n=12))[0] == "i0"


def test_a_variant_has_weights_of_its_own_whatever_holds_for_others() -> None:
    world = shop()
    world.recommender.treatments.actions = ("click", *WINDOWS)
    world.recommender.declare(
        parse(
            "layers: {aims: {experiments: {e: {start: 2000-01-01T00:00:00Z, end: 2100-01-01T00:00:00Z, traffic: 1,"
            " variants: {clicks: {overrides: {objectives: {click: 1}}},"
            " sales: {overrides: {objectives: {click: 1, conversion: 50}}}}}}}}"
        )
    )
    weighed(world, {"click": 1, "dislike": -5})
    firsts: dict[str, set[str]] = {}
    for k in range(40):
        slate = world.slate(user_id=f"u{k}", request_id=str(k))
        firsts.setdefault(slate.variant, set()).add(shown(slate)[0])
    assert firsts == {"aims:e/clicks": {"i0"}, "aims:e/sales": {"i9"}}


@pytest.mark.parametrize("policy", ["plackett_luce", "squarecb", "epsilon_greedy", "thompson"])
def test_what_is_drawn_at_random_prefers_what_is_worth_more(policy: str) -> None:
    world = shop(Weights.parse(SALES), policy=policy, randomised_share=1.0, uniform_floor=0.05)
    firsts = [world.slate(request_id=str(k), n=2) for k in range(60)]
    assert {slate.flags for slate in firsts} == {("randomised",)}
    assert sum(shown(slate)[0] == "i9" for slate in firsts) > 20


def test_a_slate_that_is_not_made_anew_claims_no_weights() -> None:
    world = shop(Weights.parse(SALES))
    world.slate(request_id="1")
    stale: Slate = world.slate(request_id="2", degraded="redis: away")
    assert stale.policy == "last_good" and stale.aims is None
