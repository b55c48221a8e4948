"""Estimators for one action: those of the reference implementation, and right where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.bandits import ips, snips
from hypothesis import given
from hypothesis import strategies as st

from evaluation.ope.single import direct, doubly_robust, estimate, inverse_propensity, self_normalised

example = st.tuples(st.floats(0.01, 1), st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5]))


@given(st.lists(example, min_size=1, max_size=50))
def test_ips_and_snips_agree_with_the_reference_implementation(
    examples: list[tuple[float, float, float]],
) -> None:
    theirs = ips.Estimator(), snips.Estimator()
    for logged, wanted, reward in examples:
        for each in theirs:
            each.add_example(logged, reward, wanted)
    mu, pi, r = np.array(examples).T
    assert estimate(inverse_propensity(pi / mu, r)) == pytest.approx(theirs[0].get(), rel=1e-6, abs=1e-6)
    assert estimate(self_normalised(pi / mu, r)) == pytest.approx(theirs[1].get() or 0.0, rel=1e-6, abs=1e-6)


def test_with_a_perfect_model_the_doubly_robust_estimate_is_the_direct_one_without_noise() -> None:
    q = np.array([0.2, 0.6])
    drawn = np.array([0, 1, 1])
    looked = np.full(3, 0.25 * q[0] + 0.75 * q[1])
    parts = doubly_robust(np.array([0.5, 1.5, 1.5]), q[drawn], q[drawn], looked)
    assert estimate(parts) == pytest.approx(estimate(direct(looked))) == pytest.approx(0.5)


def test_with_a_useless_model_the_doubly_robust_estimate_is_ips() -> None:
    weight, reward, nothing = np.array([2.0, 0.5]), np.array([1.0, 1.0]), np.zeros(2)
    robust = doubly_robust(weight, reward, nothing, nothing)
    assert estimate(robust) == estimate(inverse_propensity(weight, reward))


def test_a_target_that_was_never_shown_is_worth_nothing_and_no_error() -> None:
    assert estimate(self_normalised(np.zeros(3), np.ones(3))) == 0.0
