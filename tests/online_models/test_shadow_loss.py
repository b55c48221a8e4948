"""Versions are compared on the same slots, before they learn them, and only while there is something to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest

from online_models.calibration import Calibration
from online_models.features import FeatureSchema
from online_models.heads import Heads
from online_models.labels import Kind, Labelled
from online_models.ordering import OrderingHead
from online_models.ranker import ClickRanker
from online_models.shadow_loss import ShadowLoss


def heads(version: str, weight: float) -> Heads:
    ranker = ClickRanker(["x"])
    ranker.optimizer.weights[0] = weight
    ordering = OrderingHead(FeatureSchema.of(("vsk",)), floor={"vsk.score": 1.0})
    return Heads(version, ordering, ranker, Calibration())


def slot(kind: Kind, x: float) -> Labelled:
    return Labelled(1, kind, np.array([x], dtype=np.float32), "s", 0, "home", 0.5, 1.0, ts=0)


def test_a_version_that_predicts_the_clicks_has_the_lower_loss_on_the_same_slots() -> None:
    held = {"base": heads("base", 0.0), "v2": heads("v2", 2.0)}
    losses = ShadowLoss(lambda: held)
    for _ in range(50):
        losses.observe(slot(Kind.POSITIVE, 1.0))
        losses.observe(slot(Kind.NEGATIVE, -1.0))
    for name, one in held.items():
        clicked, passed = (one.ranker.logit(np.array([x], dtype=np.float32), 0, "home") for x in (1.0, -1.0))
        wanted = (math.log1p(math.exp(-clicked)) + math.log1p(math.exp(passed))) / 2.0
        assert losses.losses[name].mean == pytest.approx(wanted, rel=1e-3)
    told = losses.told()
    assert told["v2"][0] < told["base"][0]
    assert len({loss.weight for loss in losses.losses.values()}) == 1


def test_one_version_alone_is_not_measured_and_a_correction_is_not_counted_twice() -> None:
    held = {"base": heads("base", 0.0)}
    losses = ShadowLoss(lambda: held)
    losses.observe(slot(Kind.POSITIVE, 1.0))
    assert losses.told() == {}
    held["v2"] = heads("v2", 1.0)
    losses.observe(slot(Kind.NEGATIVE, 1.0))
    losses.observe(slot(Kind.CORRECTION, 1.0))
    assert {name: round(weight) for name, (_, weight) in losses.told().items()} == {"base": 1, "v2": 1}
    del held["v2"]
    losses.observe(slot(Kind.NEGATIVE, 1.0))
    assert losses.told() == {}


def test_a_challenger_that_joins_later_is_compared_from_then_on_with_all() -> None:
    held = {"base": heads("base", 0.0), "v2": heads("v2", 1.0)}
    losses = ShadowLoss(lambda: held)
    for _ in range(20):
        losses.observe(slot(Kind.NEGATIVE, 1.0))
    held["v3"] = heads("v3", -1.0)
    losses.observe(slot(Kind.NEGATIVE, 1.0))
    assert {round(weight) for _, weight in losses.told().values()} == {1}


def test_a_prediction_that_is_no_number_counts_as_the_worst() -> None:
    held = {"base": heads("base", 0.0), "v2": heads("v2", math.nan)}
    losses = ShadowLoss(lambda: held)
    for kind in (Kind.POSITIVE, Kind.NEGATIVE):
        losses.observe(slot(kind, 1.0))
    assert losses.losses["v2"].mean == pytest.approx(-math.log(1e-6))
