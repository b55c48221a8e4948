"""Exploration: what is logged as a propensity is the frequency with which it happens, for every policy."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models import bandit
from online_models.bandit import EpsilonGreedy, Greedy, LinUCB, PlackettLuce, SquareCB, Thompson, draw_slate
from online_models.chance import generator, is_randomised, seed_of, swapped_pair
from online_models.posterior import posterior_heads, standard_errors

DRAWS = 100_000
SCORES = np.array([0.30, 0.10, 0.25, 0.02, 0.30])
HEADS = np.random.default_rng(5).normal(SCORES, 0.1, size=(64, 5))
BOUNDS = np.stack([SCORES, np.array([0.0, 0.3, 0.0, 0.1, 0.0])])
POLICIES = [
    (PlackettLuce(temperature=0.2), SCORES),
    (EpsilonGreedy(0.2), SCORES),
    (SquareCB(gamma=30.0), SCORES),
    (SquareCB(gamma=30.0, floor=0.1), SCORES),
    (Thompson(), HEADS),
    (LinUCB(), BOUNDS),
]
names = [f"{policy.name}-{k}" for k, (policy, _) in enumerate(POLICIES)]
finite = st.floats(-50, 50)


def chi_square_is_small(observed, expected):
    """Below its mean plus five standard deviations."""
    freedom = len(expected) - 1
    statistic = sum((observed.get(k, 0) - e) ** 2 / e for k, e in expected.items())
    return statistic < freedom + 5 * math.sqrt(2 * max(freedom, 1))


@pytest.mark.parametrize(("policy", "scores"), POLICIES, ids=names)
def test_the_logged_propensity_is_the_frequency_over_100_000_draws(policy, scores):
    eligible, rng = np.array([4, 0, 2, 3]), generator(1)
    draws = Counter(policy.draw(scores, eligible, rng) for _ in range(DRAWS))
    logged = dict(draws.keys())
    assert len(logged) == len(draws)  # one propensity an item
    expected = dict(
        zip(eligible.tolist(), (policy.probabilities(scores, eligible) * DRAWS).tolist(), strict=True)
    )
    assert {choice: pytest.approx(p * DRAWS) for choice, p in logged.items()} == expected
    assert chi_square_is_small({choice: n for (choice, _), n in draws.items()}, expected)


def test_whole_slates_come_as_often_as_the_product_of_their_propensities_says():
    policy, rng = PlackettLuce(temperature=0.2), generator(2)

    def capped(prefix):  # at most one of items 0 and 4, as a cap per tag would have it
        return np.array([k for k in range(5) if not (k in (0, 4) and {0, 4} & set(prefix))])

    slates = [draw_slate(policy, SCORES, 3, rng, eligible=capped) for _ in range(30_000)]
    counts = Counter(slate.chosen for slate in slates)
    expected = {slate.chosen: slate.propensity * 30_000 for slate in slates}
    assert sum(expected.values()) == pytest.approx(30_000, rel=1e-9)  # every slate was seen
    assert chi_square_is_small(counts, expected)


def test_the_uniform_target_has_mean_weight_one():
    policy, rng = PlackettLuce(temperature=0.2), generator(3)
    weights = []
    for _ in range(20_000):
        slate = draw_slate(policy, SCORES, 2, rng)
        target = math.prod(1 / len(able) for able in slate.eligible)
        weights.append(target / slate.propensity)
    assert np.mean(weights) == pytest.approx(1.0, abs=4 * np.std(weights) / math.sqrt(len(weights)))


@given(
    st.lists(st.one_of(finite, st.sampled_from([math.nan, math.inf, -math.inf])), min_size=1, max_size=12),
    st.integers(0, 2**63 - 1),
    st.data(),
)
def test_every_policy_gives_a_distribution_over_the_eligible_whatever_the_scores(values, seed, data):
    scores = np.array(values)
    eligible = np.array(data.draw(st.permutations(range(len(values)))))[
        : data.draw(st.integers(1, len(values)))
    ]
    stacked = np.stack([scores, np.abs(np.nan_to_num(scores))])
    for policy in (Greedy(), PlackettLuce(), EpsilonGreedy(), SquareCB(), Thompson(), LinUCB()):
        given_ = stacked if isinstance(policy, Thompson | LinUCB) else scores
        p = policy.probabilities(given_, eligible)
        assert p.sum() == pytest.approx(1.0, abs=1e-9)
        assert (p >= 0).all()
        choice, propensity = policy.draw(given_, eligible, generator(seed))
        assert choice in eligible
        assert 0 < propensity <= 1
        assert propensity == pytest.approx(p[eligible.tolist().index(choice)])


@given(st.lists(finite, min_size=2, max_size=20), st.floats(0.01, 10))
def test_the_floor_is_kept_for_every_eligible_item(values, temperature):
    p = PlackettLuce(temperature, floor=0.1).probabilities(np.array(values), np.arange(len(values)))
    assert p.min() >= 0.1 / len(values) * (1 - 1e-12)


@given(st.permutations(range(6)))
def test_the_order_in_which_the_eligible_are_listed_does_not_change_their_propensities(order):
    scores = np.array([0.5, 0.5, 0.1, 0.5, 0.2, 0.4])
    heads = np.random.default_rng(0).integers(0, 3, size=(64, 6)).astype(float)  # many ties
    eligible = np.array(order)
    for policy, given_ in [
        (Greedy(), scores),
        (SquareCB(), scores),
        (PlackettLuce(), scores),
        (Thompson(), heads),
    ]:
        p = policy.probabilities(given_, eligible)
        sorted_p = policy.probabilities(given_, np.arange(6))
        assert p == pytest.approx(sorted_p[eligible], abs=1e-12)


def test_greedy_breaks_ties_by_the_lower_index_and_sinks_what_is_not_finite():
    assert Greedy().draw(np.array([math.nan, 1.0, 1.0]), np.array([2, 0, 1]), generator(0)) == (1, 1.0)


def test_a_slate_never_repeats_and_ends_when_nothing_is_eligible():
    slate = draw_slate(PlackettLuce(), SCORES, 10, generator(0))
    assert sorted(slate.chosen) == [0, 1, 2, 3, 4]
    assert slate.propensities[-1] == 1.0


def test_pins_stand_where_they_are_set_with_propensity_one_and_nowhere_else():
    for seed in range(50):
        slate = draw_slate(PlackettLuce(), SCORES, 4, generator(seed), pinned={1: 3})
        assert slate.chosen[1] == 3
        assert slate.chosen.count(3) == 1
        assert (slate.propensities[1], slate.pinned) == (1.0, (1,))
        assert all(3 not in able for slot, able in enumerate(slate.eligible) if slot != 1)


def test_a_retried_request_gets_the_same_slate_and_another_version_another_seed():
    seed = seed_of("shop", "r1", "v1")
    assert draw_slate(PlackettLuce(), SCORES, 3, generator(seed)) == draw_slate(
        PlackettLuce(), SCORES, 3, generator(seed_of("shop", "r1", "v1"))
    )
    assert (
        len({seed, seed_of("shop", "r1", "v2"), seed_of("shop", "r2", "v1"), seed_of("mall", "r1", "v1")})
        == 4
    )


def test_seeds_are_the_same_for_ever():
    assert seed_of("shop", "r1", "v1") == 6504230705100073402


def test_which_requests_are_randomised_does_not_depend_on_which_are_swapped():
    both = Counter(
        (is_randomised(str(k), "h", 0.5), swapped_pair(str(k), "h", 5, 0.5) is None) for k in range(8_000)
    )
    assert min(both.values()) > 1_800


def test_pairs_to_swap_are_spread_evenly_over_the_slots():
    pairs = Counter(swapped_pair(str(k), "h", 6, share=1.0) for k in range(10_000))
    assert chi_square_is_small(pairs, dict.fromkeys(range(5), 2_000))
    assert swapped_pair("r", "h", 1, share=1.0) is None


def test_posterior_heads_are_as_wide_as_the_head_is_unsure():
    heads = posterior_heads(np.array([1.0, -1.0]), np.array([3.0, 1e6]), heads=20_000, seed=1)
    assert heads.mean(axis=0) == pytest.approx([1.0, -1.0], abs=0.02)
    assert heads.std(axis=0) == pytest.approx([0.5, 0.001], rel=0.05)
    assert standard_errors(np.eye(2), np.array([3.0, 0.0])).tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        (PlackettLuce, {"temperature": 0.0}),
        (PlackettLuce, {"floor": 1.5}),
        (EpsilonGreedy, {"epsilon": -0.1}),
        (SquareCB, {"gamma": math.inf}),
        (LinUCB, {"floor": 0.0}),
        (LinUCB, {"width": -1.0}),
        (Thompson, {"floor": math.nan}),
    ],
)
def test_bad_arguments_are_refused(policy, wrong):
    with pytest.raises(ValueError, match="must be"):
        policy(**wrong)


def test_an_empty_eligible_set_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        PlackettLuce().draw(SCORES, np.array([], dtype=np.intp), generator(0))
    assert bandit.draw_slate(Greedy(), SCORES[:0], 3, generator(0)).chosen == ()
