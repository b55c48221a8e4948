"""What serving logs of a drawn slate is what it was drawn by: another process draws it again from the log alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest

from evaluation.in_process import InProcess
from evaluation.ope.draws import redrawn
from evaluation.ope.intervals import mean_weight
from evaluation.ope.log import log_of
from evaluation.ope.records import Log
from evaluation.ope.sample import sample_of
from evaluation.ope.targets import logging_policy, policy_of
from evaluation.simulator import World, WorldConfig
from serving.assembly import assemble
from serving.types import PolicyName, SlateRequest, SurfacePolicy
from serving.wire import exposure

POLICIES: tuple[PolicyName, ...] = ("plackett_luce", "squarecb", "epsilon_greedy", "thompson", "linucb")
SLOTS = 4


@cache
def pipeline() -> InProcess:
    """A recommender that has learnt from a hundred visits."""
    world = World(WorldConfig(seed=3, users=20, items=60, new_items=0))
    made = InProcess(assemble({"default": SurfacePolicy(randomised_share=1.0)}), n=SLOTS, fresh_slates=False)
    for entry in world.arrivals(0):
        made.item(entry, 0)
    for k, (now, user) in enumerate(world.visits(1.0, until=100_000)):
        slate = made.slate(user, now, request_id=f"warm-{k}")
        shown = [item.item_id for item in slate.items]
        for event in world.react(user, shown, now, request_id=slate.request_id):
            made.event(event)
    return made


def logged(count: int, **policy: Any) -> Log:
    """Slates drawn by a policy, written and read again."""
    recommender = pipeline().parts.recommender
    recommender.surfaces["default"] = SurfacePolicy(randomised_share=1.0, **policy)
    records = []
    for k in range(count):
        user = f"u{k % 20}"
        request = SlateRequest(request_id=f"q{k}", user_id=user, n=SLOTS)
        slate = recommender.recommend(request, pipeline().record(user), now=200_000)
        records.append(orjson.loads(orjson.dumps(exposure(slate, now=200_000))))
    return log_of(records)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("diversity", [0.0, 0.3])
@pytest.mark.parametrize("cap", [0, 2])
def test_the_logged_policy_draws_again_with_the_logged_propensities(
    name: PolicyName, diversity: float, cap: int
) -> None:
    log = logged(30, policy=name, diversity=diversity, per_tag_cap=cap, temperature=0.7, uniform_floor=0.2)
    assert len(log.slates) == 30
    for slate in log.slates:
        by = logging_policy(slate.policy)
        assert by is not None
        assert by.spec == slate.policy
        np.testing.assert_allclose(redrawn(slate, by, by).ratio, 1.0, rtol=1e-9)


@pytest.mark.parametrize("name", POLICIES)
def test_the_mean_weight_of_the_uniform_target_is_one(name: PolicyName) -> None:
    log = logged(300, policy=name, diversity=0.3, uniform_floor=0.5)
    weights = np.cumprod(sample_of(log.slates, policy_of("uniform")).ratio, axis=1)
    mean, error = mean_weight(weights, np.arange(len(weights)))
    assert abs(mean - 1.0) < 3.0 * error


def test_only_the_draws_are_written_out_slot_by_slot_and_only_with_diversity() -> None:
    plain, diverse = (logged(1, diversity=d).slates[0] for d in (0.0, 0.3))
    assert plain.taken is None
    assert diverse.taken is not None
    assert diverse.taken.shape == (SLOTS, len(diverse.candidates))
    assert diverse.taken[0].max() == 0.0


def test_a_retried_request_gets_the_same_slate() -> None:
    first, again = (logged(5).slates for _ in range(2))
    assert [slate.chosen for slate in first] == [slate.chosen for slate in again]
