"""What is written of a slate is an exposure by the schema, and its features come back as they were served."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.events import Exposure
from online_models.labels import from_exposure
from serving import wire
from serving.types import Slate, SurfacePolicy
from streams import validation
from streams.validation import Rules
from tests.serving.world import NOW, World

WORLD = World(SurfacePolicy(randomised_share=0.5, swap_share=0.5))


def read(slate: Slate) -> Exposure:
    """The exposure as the fold reads it from the log."""
    event = validation.event(orjson.dumps(wire.exposure(slate, NOW)), NOW, Rules())
    assert isinstance(event, Exposure), event
    return event


@pytest.mark.parametrize("request_id", [f"r{k}" for k in range(12)])
def test_an_exposure_is_valid_and_its_features_are_those_served(request_id: str) -> None:
    slate = WORLD.slate(WORLD.user("i0", "i4"), request_id=request_id)
    event = read(slate)
    pending = from_exposure(event, {item.item_id: item.number for item in slate.items})
    assert slate.features is not None
    np.testing.assert_array_equal(pending.features, slate.features)
    assert pending.items == [item.number for item in slate.items]
    assert pending.positions == list(range(5))
    assert pending.propensities == [item.propensity for item in slate.items]
    np.testing.assert_allclose(pending.probabilities, [i.probability for i in slate.items], atol=1e-6)
    assert pending.schema == WORLD.learner.schema
    assert pending.randomised == ("randomised" in slate.flags)
    assert (event.context.get("swapped") is not None) == ("swapped" in slate.flags)
    assert ("choice" in event.context) == ("randomised" in slate.flags)


@settings(max_examples=60)
@given(
    user=st.text(min_size=1, max_size=256),
    request=st.text(min_size=1, max_size=256),
    surface=st.text(min_size=1, max_size=64),
    n=st.integers(1, 500),
)
def test_whatever_a_request_is_called_its_exposure_is_valid(
    user: str, request: str, surface: str, n: int
) -> None:
    asked: dict[str, Any] = {"user_id": user, "request_id": request, "surface": surface, "n": n}
    event = read(WORLD.slate(None, **asked))
    assert (event.user_id, event.request_id, event.surface) == (user, request, surface)


def test_two_requests_with_long_names_are_two_events() -> None:
    events = [read(WORLD.slate(None, request_id="r" * 255 + end)) for end in "ab"]
    assert events[0].event_id != events[1].event_id


def test_a_degraded_and_a_filled_up_slate_are_valid_exposures_that_teach_nothing() -> None:
    WORLD.slate(WORLD.user("i0"), user_id="d", request_id="good")
    for slate in (
        WORLD.slate(None, user_id="d", request_id="stale", degraded="redis: away"),
        WORLD.slate(WORLD.user("i0"), n=100, tags=("even",), request_id="filled"),
        World(items=(), acted=0).slate(None),
    ):
        event = read(slate)
        assert len(event.items) == len(slate.items)
        pending = from_exposure(event, {item.item_id: item.number for item in slate.items})
        if slate.features is None:
            assert pending.features.size == 0
            assert event.feature_schema == ""


def test_a_recommendation_says_how_fresh_it_is_and_what_caused_it() -> None:
    slate = WORLD.slate(WORLD.user("i0"))
    told = wire.recommendation(slate, NOW, freshness_ms=12, caused_by="e")
    assert (told["freshness_ms"], told["caused_by"], told["id"]) == (12, "e", slate.request_id)
    assert [item["item_id"] for item in told["items"]] == [item.item_id for item in slate.items]
    assert "degraded" not in told
    assert "freshness_ms" not in wire.recommendation(slate, NOW, freshness_ms=None, caused_by="e")
