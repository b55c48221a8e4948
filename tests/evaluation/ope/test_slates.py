"""Four estimators in a world whose truth is known: centred on it, and as sure as they say."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from estimators.slates.pseudo_inverse import Estimator as ReferencePseudoInverse
from hypothesis import given
from hypothesis import strategies as st

from evaluation.ope.intervals import bootstrap, mean_weight
from evaluation.ope.marginals import pseudo_inverse_weights, space_of
from evaluation.ope.slates import contributions, prefix_weights, pseudo_inverse
from online_models.bandit import PlackettLuce
from tests.evaluation.ope.world import ITEMS, LOGGED_BY, SLOTS, TARGET, Logger, kinds, truth

RUNS = 500
ESTIMATORS = ("independence", "reward interaction", "cascade doubly robust", "pseudo-inverse")


@cache
def runs(patience: float) -> tuple[dict[str, list[float]], dict[str, list[bool]]]:
    """Estimates of 500 logs of 250 users with 4 slates each, and whether their intervals hold the truth."""
    world = kinds()
    logger, value = Logger(world, patience=patience), truth(world, patience)
    estimates, covered = defaultdict(list), defaultdict(list)
    for seed in range(RUNS):
        sample = logger.sample(250, 4, seed)
        for name, (numbers, _) in contributions(sample, seed=seed).items():
            interval = bootstrap(numbers, np.ones(len(numbers)), sample.user, replicates=300, seed=seed)
            estimates[name].append(float(numbers.mean()))
            covered[name].append(interval.low <= value <= interval.high)
    return estimates, covered


def errors_off(name: str, patience: float) -> float:
    """Bias in standard errors of the mean of all runs."""
    each = np.array(runs(patience)[0][name])
    return float((each.mean() - truth(kinds(), patience)) / (each.std() / np.sqrt(RUNS)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_where_slots_do_not_interfere_every_estimator_is_centred_on_the_truth(name: str) -> None:
    assert abs(errors_off(name, 1.0)) <= 2.0


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_95_percent_interval_holds_the_truth_in_92_to_98_of_100_logs(name: str) -> None:
    assert 0.92 <= np.mean(runs(1.0)[1][name]) <= 0.98


def test_where_clicks_above_matter_prefix_weights_are_right_and_independence_is_not() -> None:
    assert abs(errors_off("reward interaction", 0.3)) <= 2.0
    assert abs(errors_off("cascade doubly robust", 0.3)) <= 2.0
    assert errors_off("independence", 0.3) > 4.0


def test_the_model_takes_variance_away() -> None:
    estimates = runs(1.0)[0]
    assert np.std(estimates["cascade doubly robust"]) < 0.95 * np.std(estimates["reward interaction"])


def test_the_policy_that_logged_is_worth_what_was_logged() -> None:
    sample = Logger(kinds(LOGGED_BY), target=LOGGED_BY).sample(50, 4, seed=1)
    logged = sample.clicks.sum(axis=1).mean()
    for name, (numbers, weights) in contributions(sample).items():
        assert weights == pytest.approx(1.0, abs=1e-6), name
        assert numbers.mean() == pytest.approx(logged, abs=0.02 if "doubly" in name else 1e-6)


def test_the_mean_weight_is_one() -> None:
    sample = Logger(kinds()).sample(500, 4, seed=1)
    for _, weights in contributions(sample).values():
        mean, error = mean_weight(weights, sample.user)
        assert abs(mean - 1.0) < 3 * error


def test_pseudo_inverse_weights_bring_back_the_targets_marginals_exactly() -> None:
    for kind in kinds():
        wanted = kind.wanted.marginals(ITEMS)
        weighted = kind.logged.chance * pseudo_inverse_weights(kind.logged, wanted)
        for slot in range(SLOTS):
            back = np.bincount(kind.logged.slates[:, slot], weighted, ITEMS)
            assert back == pytest.approx(wanted[slot], abs=1e-9)


def test_of_independent_draws_the_pseudo_inverse_is_the_reference_implementations() -> None:
    rng = np.random.default_rng(0)
    mu, pi = rng.uniform(0.1, 1.0, (50, 3)), rng.uniform(0.1, 1.0, (50, 3))
    clicks = (rng.random((50, 3)) < 0.3).astype(float)
    reference = ReferencePseudoInverse()
    for p, q, r in zip(mu.tolist(), pi.tolist(), clicks.sum(axis=1).tolist(), strict=True):
        reference.add_example(p, r, q)
    ours = pseudo_inverse(1.0 + (pi / mu - 1.0).sum(axis=1), clicks)
    assert ours.mean() == pytest.approx(reference.get(), abs=1e-6)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=6), st.floats(0.2, 5), st.floats(0, 1))
def test_all_slates_that_can_be_drawn_are_listed_once_and_their_chances_sum_to_one(
    scores: list[float], temperature: float, floor: float
) -> None:
    space = space_of(PlackettLuce(temperature, floor), np.array(scores), 2)
    assert len({tuple(slate) for slate in space.slates.tolist()}) == len(scores) * (len(scores) - 1)
    assert space.chance.sum() == pytest.approx(1.0)
    assert space.marginals(len(scores)).sum(axis=1) == pytest.approx([1.0, 1.0])


@given(st.lists(st.lists(st.floats(0, 4), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_prefix_weight_is_the_one_above_times_its_own_ratio(ratio: list[list[float]]) -> None:
    weights = prefix_weights(np.array(ratio))
    assert weights[:, 1:] == pytest.approx(weights[:, :-1] * np.array(ratio)[:, 1:])


def test_the_target_of_the_world_is_worth_more_than_what_logged() -> None:
    assert truth(kinds(TARGET)) > truth(kinds(LOGGED_BY)) * 1.05
