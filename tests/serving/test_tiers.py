"""Who is answered at which cost: the first tier that fits, unless a variant is to do without tiers."""

from __future__ import annotations

from typing import Any

import pytest

from online_models.errors import SettingsError
from online_models.history import UserRecord
from serving.experiments import parse
from serving.treatments import Treatments
from serving.types import SlateRequest, SurfacePolicy
from serving.wire import exposure
from streams.overrides import known_override
from tests.serving.world import NOW, World

TIERS = """
tiers:
  buyers: {who: {actions: {purchase: 2}}}
  partners: {who: {groups: [partner], context: {plan: pro}}, surfaces: [home]}
  others: {overrides: {candidates: 30, without: [embedding, neighbours], diversity: 0.0}}
"""
COMPARED = """
layers:
  cost:
    experiments:
      tiering: {start: 1970-01-01T00:00:00Z, end: 2100-01-01T00:00:00Z, traffic: 1,
                variants: {everything: {overrides: {tiers: false}}, tiered: {}}}
"""


def treatments(text: str = TIERS) -> Treatments:
    return Treatments({"home": SurfacePolicy(), "item": SurfacePolicy()}, parse(text, known_override))


@pytest.mark.parametrize(
    ("record", "asked", "tier"),
    [
        (UserRecord(counts={"purchase": 2}), {}, "buyers"),
        (UserRecord(counts={"purchase": 1}), {}, "others"),
        (UserRecord(group="partner"), {"surface": "home", "context": {"plan": "pro"}}, "partners"),
        (UserRecord(group="partner"), {"surface": "home", "context": {"plan": "free"}}, "others"),
        (UserRecord(group="partner"), {"surface": "item", "context": {"plan": "pro"}}, "others"),
        (None, {}, "others"),
    ],
)
def test_the_first_tier_that_fits_holds(record: UserRecord | None, asked: dict[str, Any], tier: str) -> None:
    request = SlateRequest(request_id="r", user_id="u", **asked)
    assert treatments().tier(request, record) == tier


def test_a_tier_overrides_settings_and_stands_in_the_label() -> None:
    cheap, full = (treatments().of("u", "home", NOW, tier) for tier in ("others", "buyers"))
    assert (cheap.candidates, cheap.without, cheap.surface.diversity) == (
        30,
        ("embedding", "neighbours"),
        0.0,
    )
    assert (full.candidates, full.without, full.surface) == (None, (), SurfacePolicy())
    assert (cheap.label, full.label) == ("tiers:others/on", "tiers:buyers/on")


def test_a_variant_without_tiers_is_answered_in_full_and_says_which_segment_it_is_to_be_compared_in() -> None:
    known = treatments(TIERS + COMPARED)
    given = {known.of(f"u{k}", "home", NOW, "others") for k in range(40)}
    assert {(t.label, t.candidates) for t in given} == {
        ("cost:tiering/everything tiers:others/off", None),
        ("cost:tiering/tiered tiers:others/on", 30),
    }


def test_what_a_variant_overrides_comes_before_what_the_tier_does() -> None:
    text = COMPARED.replace("tiered: {}", "tiered: {overrides: {candidates: 60}}")
    known = treatments(TIERS + text)
    assert {known.of(f"u{k}", "home", NOW, "others").candidates for k in range(40)} == {None, 60}


def test_sources_that_are_left_out_are_not_asked_and_the_slate_is_not_degraded() -> None:
    world = World(SurfacePolicy(randomised_share=0.0, swap_share=0.0))
    world.recommender.treatments.declare(parse(TIERS, known_override))
    asked: list[str] = []
    for name, family in world.learner.model._families.items():
        touch = family.touch
        family.touch = lambda query, name=name, touch=touch: asked.append(name) or touch(query)  # type: ignore
    slate = world.slate(world.user("i0", "i1"))
    assert (slate.degraded, slate.flags) == ("", ())
    assert asked
    assert {"embedding", "neighbours"}.isdisjoint(asked)
    assert exposure(slate, NOW)["context"]["variant"] == "tiers:others/on"
    buyer = world.user("i0", "i1")
    buyer.counts["purchase"] = 2
    world.slate(buyer)
    assert {"embedding", "neighbours"} <= set(asked)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tiers: {all: {}, more: {}}", "tier 'all' is for everybody"),
        ("tiers: {a: {who: {actions: {buy: 0}}}}", "greater than or equal to 1"),
        ("tiers: {a: {overrides: {without: [magic]}}}", "without: some of covisits"),
        ("tiers: {a: {overrides: {candidates: 3}}}", "tiers.a.overrides: candidates"),
        ("layers: {tiers: {}}", "no layer may be called tiers"),
    ],
)
def test_tiers_that_cannot_hold_are_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse(text, known_override)
