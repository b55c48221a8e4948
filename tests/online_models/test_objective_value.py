"""Weights decide what the order is made for; with clicks alone it is the order by clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online_models.objective_value import SUNK, Valued
from online_models.objective_weights import CLICKS, Weights

Floats = NDArray[np.float64]

CLICKED, BOUGHT, DISLIKED = 0, 1, 2


def logit(p: Floats) -> Floats:
    return np.log(p) - np.log1p(-p)


def order(scores: Floats) -> list[int]:
    return np.argsort(-scores, kind="stable").tolist()


def shop(weights: dict[str, float]) -> list[int]:
    """One item is clicked and never bought, one bought by most who click it, one clicked and often disliked."""
    clicks = np.array([0.30, 0.10, 0.20])
    said = {"purchase": np.array([0.001, 0.70, 0.01]), "dislike": np.array([0.01, 0.01, 0.60])}
    return order(Valued.of(Weights.parse(weights), logit(clicks), clicks, 0.0, said, {"purchase"}).scores)


def test_weights_decide_who_leads() -> None:
    assert shop({"click": 1, "purchase": 0.01}) == [CLICKED, DISLIKED, BOUGHT]
    assert shop({"click": 1, "purchase": 20}) == [BOUGHT, CLICKED, DISLIKED]
    assert shop({"purchase": 1}) == [BOUGHT, DISLIKED, CLICKED]
    assert shop({"click": 1, "dislike": -2}) == [CLICKED, BOUGHT, DISLIKED]


def test_the_order_is_that_of_the_value_where_both_heads_agree_on_clicks() -> None:
    rng = np.random.default_rng(1)
    clicks, bought = rng.beta(1, 9, 50), rng.beta(1, 9, 50)
    for click_weight in (0.0, 0.5, 1.0):
        scores = (1.0 + click_weight) * logit(clicks) + 3.0
        worth = Valued.of(
            Weights.parse({"click": 1, "purchase": 5}), scores, clicks, click_weight, {"purchase": bought}
        )
        np.testing.assert_allclose(worth.clicks, clicks, rtol=1e-9)
        assert order(worth.scores) == order(clicks + 5 * bought)


scores_of = st.lists(st.floats(-12, 12), min_size=1, max_size=40, unique_by=lambda x: round(x, 3))


@given(scores_of, st.floats(0.01, 1000), st.floats(0, 1))
def test_with_clicks_alone_the_order_is_that_by_clicks(
    told: list[float], weight: float, click_weight: float
) -> None:
    scores = np.array(told)
    weights = Weights.parse({"click": weight})
    assert weights.clicks_alone
    assert order(Valued.of(weights, scores, np.full(len(told), 0.05), click_weight, {}).scores) == order(
        scores
    )


@given(scores_of, st.floats(0.0, 0.5), st.floats(-50, 50), st.booleans())
def test_a_head_that_says_the_same_of_every_item_moves_nobody(
    told: list[float], rate: float, weight: float, after: bool
) -> None:
    scores, said = np.array(told), {"like": np.full(len(told), rate)}
    if after and 1.0 + weight * rate <= 0.0:
        return  # then every click does harm
    worth = Valued.of(
        Weights.parse({"click": 1, "like": weight}), scores, np.full(len(told), 0.05), 0.5, said,
        {"like"} if after else (),
    )  # fmt: skip
    value = worth.value(worth.clicks)
    assert order(value) == order(worth.scores)
    assert all(np.diff(value[order(scores)]) <= 1e-12)


@given(scores_of, st.floats(0.001, 1000))
def test_only_the_proportions_of_weights_matter(told: list[float], factor: float) -> None:
    rng = np.random.default_rng(len(told))
    scores, clicks = np.array(told), np.full(len(told), 0.05)
    said = {name: rng.random(len(told)) for name in ("purchase", "dislike")}
    weights = {"click": 1.0, "purchase": 3.0, "dislike": -2.0}
    made = [
        Valued.of(
            Weights.parse({name: weight * by for name, weight in weights.items()}), scores, clicks, 0.5, said
        )
        for by in (1.0, factor)
    ]
    np.testing.assert_allclose(made[0].scores, made[1].scores, atol=1e-6)


def test_a_little_weight_moves_scores_a_little() -> None:
    rng = np.random.default_rng(2)
    scores, clicks, said = rng.normal(size=30), np.full(30, 0.05), {"purchase": rng.random(30)}
    none, little = (
        Valued.of(Weights.parse({"click": 1, "purchase": w}), scores, clicks, 0.5, said).scores
        for w in (1e-12, 1e-6)
    )
    np.testing.assert_allclose(none, little, atol=1e-3)


def test_a_score_that_is_not_finite_stays_at_the_end_whatever_it_would_be_worth() -> None:
    scores, clicks = np.array([SUNK, 0.0, 1.0]), np.array([0.1, 0.1, 0.1])
    worth = Valued.of(
        Weights.parse({"purchase": 1}), scores, clicks, 0.0, {"purchase": np.array([0.9, 0.2, 0.1])}
    )
    assert order(worth.scores) == [1, 2, 0]


def test_nothing_to_order_is_no_error() -> None:
    none = np.zeros(0)
    assert not len(Valued.of(Weights.parse({"purchase": 1}), none, none, 0.0, {"purchase": none}).scores)


def test_an_action_without_a_head_counts_nothing() -> None:
    scores = np.array([0.0, 1.0])
    worth = Valued.of(Weights.parse({"click": 1, "share": 9}), scores, np.array([0.1, 0.1]), 0.0, {})
    assert order(worth.scores) == [1, 0]


def test_what_draws_go_by_follows_the_value() -> None:
    clicks = np.array([0.30, 0.10])
    worth = Valued.of(
        Weights.parse({"click": 1, "purchase": 20, "dislike": -2}), logit(clicks), clicks, 0.0,
        {"purchase": np.array([0.0, 0.9]), "dislike": np.array([0.1, 0.1])}, {"purchase"},
    )  # fmt: skip
    share = worth.between(clicks)
    assert share[1] > share[0] > 0.0 and share.max() < 1.0
    by_head = worth.by_head(np.stack([logit(clicks), logit(clicks) + 0.1]), clicks)
    assert by_head.shape == (2, 2) and (by_head[:, 1] > by_head[:, 0]).all()
    mean, width = worth.with_width(clicks, np.array([0.1, 0.1]))
    nudged = worth.with_width(1 / (1 + np.exp(-(logit(clicks) + 1e-6))), np.zeros(2))[0]
    np.testing.assert_allclose(width / 0.1, (nudged - mean) / 1e-6, rtol=1e-3)


def test_weights_that_do_not_hold_are_refused_with_the_reason() -> None:
    known = {"click", "purchase"}
    for told, why in (
        ({}, "1 to 16"), ({"purchse": 1}, "there are click, purchase"), ({"click": float("nan")}, "within"),
        ({"click": True}, "a number"), ({"click": 0, "purchase": 0}, "above 0"), ({"click": -1}, "above 0"),
        ({"purchase": 1, "conversion": 1}, "another word"), ({"click": 1e7}, "within"), ({"": 1}, "called by"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            Weights.parse(told, known)


def test_the_version_names_the_numbers_and_nothing_else() -> None:
    first = Weights.parse({"click": 1, "purchase": 20})
    assert first.version == Weights.parse({"purchase": 20.0, "click": 1, "like": 0}).version
    assert first.version != Weights.parse({"click": 1, "purchase": 21}).version
    assert Weights.parse({"click": 5}).version == CLICKS.version == "click"
