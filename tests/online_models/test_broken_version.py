"""A challenger that cannot learn is left alone; the live version goes on as if it were not there."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from online_models.labels import Kind, Labelled
from online_models.shadow_loss import ShadowLoss
from online_models.state import Outcome
from tests.serving.test_versions import SHADOW, registry_of
from tests.serving.world import NOW, World


def with_broken_shadow() -> World:
    """A challenger whose weights are of another shape."""
    world = World()
    world.recommender.follow(registry_of(*SHADOW))
    head = world.learner.heads["v2"].ordering
    for name in head.parameters:
        head.parameters[name] = np.zeros((1, 1), dtype=np.float32)
    world.learner.heads["v2"].ranker.optimizer.weights = np.zeros(1)
    return world


def labels(world: World) -> list[Labelled]:
    slate = world.slate(world.user("i0"))
    assert slate.features is not None
    return [
        Labelled(item.number, Kind.NEGATIVE, slate.features[place].astype(np.float32), world.learner.schema, place,
                 "default", 0.1, 1.0, ts=NOW)
        for place, item in enumerate(slate.items)
    ]  # fmt: skip


def test_the_live_version_learns_while_a_challenger_fails_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = with_broken_shadow()
    before = world.learner.ranker.examples
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            world.learner.learn(Outcome(labelled=labels(world)))
    slate = world.slate(world.user("i0"))
    assert slate.candidates is not None
    for heads in world.learner.heads.values():
        heads.learn_order(slate.candidates, slate.items[-1].number)
    assert world.learner.ranker.examples > before
    assert world.learner.heads["v2"].broken
    assert not world.learner.heads["base"].broken
    assert [record.message.split(":")[0] for record in caplog.records if "v2" in record.message] == [
        "version v2 cannot learn and is left alone"
    ]


def test_a_base_that_fails_is_not_passed_over() -> None:
    world = World()
    world.learner.ranker.optimizer.weights = np.zeros(1)
    with pytest.raises((ValueError, IndexError)):
        for label in labels(World()):
            world.learner.heads["base"].learn_label(label)


def test_a_broken_version_is_measured_as_the_worst_and_breaks_no_measuring() -> None:
    world = with_broken_shadow()
    losses = ShadowLoss(lambda: world.learner.heads)
    for label in labels(world):
        losses.observe(label)
    means = {name: loss.mean for name, loss in losses.losses.items()}
    assert means["v2"] == pytest.approx(-np.log(1e-6))
    assert means["base"] is not None
    assert means["base"] < 5.0
