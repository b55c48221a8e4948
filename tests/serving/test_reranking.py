"""Diversity and caps in worlds of a few vectors, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.bandit import Greedy, draw_slate, generator
from serving.reranking import Diversity, TagCap
from tests.serving.world import World

TWINS_AND_A_STRANGER = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
SCORES = np.array([1.0, 0.9, 0.8])


def greedy(diversity: Diversity, scores: np.ndarray = SCORES) -> tuple[int, ...]:
    return draw_slate(Greedy(), scores, len(SCORES), generator(0), given=diversity).chosen


def test_without_weight_the_order_is_that_of_the_scores() -> None:
    assert greedy(Diversity(SCORES, TWINS_AND_A_STRANGER, 0.0, 3)) == (0, 1, 2)


def test_a_stranger_comes_before_the_twin_of_what_stands_above() -> None:
    assert greedy(Diversity(SCORES, TWINS_AND_A_STRANGER, 0.5, 3)) == (0, 2, 1)


@pytest.mark.parametrize("weight", [0.1, 0.3, 0.6])
def test_each_slot_is_the_best_by_the_equation(weight: float) -> None:
    rng = np.random.default_rng(5)
    scores, vectors = rng.normal(size=30), rng.normal(size=(30, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = draw_slate(Greedy(), scores, 8, generator(0), given=Diversity(scores, vectors, weight, 8)).chosen
    spread = np.sort(scores)[-1] - np.sort(scores)[-24]
    for slot, place in enumerate(chosen):
        like = (vectors @ vectors[list(chosen[:slot])].T).max(axis=1).clip(min=0) if slot else np.zeros(30)
        said = scores - weight / (1 - weight) * spread * like
        said[list(chosen[:slot])] = -np.inf
        assert place == int(said.argmax())


def test_items_without_a_vector_are_like_nothing() -> None:
    vectors = np.zeros((3, 2), dtype=np.float32)
    assert greedy(Diversity(SCORES, vectors, 0.9, 3)) == (0, 1, 2)


def test_a_width_is_left_alone_where_only_the_first_row_is_a_score() -> None:
    both = np.stack([SCORES, np.array([0.1, 0.2, 0.3])])
    diversity = Diversity(both, TWINS_AND_A_STRANGER, 0.5, 3, rows=1)
    diversity([])
    said = diversity([0])
    np.testing.assert_array_equal(said[1], both[1])
    assert said[0, 1] < both[0, 1]


def test_the_cap_bars_a_tag_that_is_full_and_is_lifted_when_nothing_else_is_left() -> None:
    world = World()
    c = world.learner.model.candidates(world.user().query(1, 2_000_000_000_000), 12)
    cap = TagCap(world.catalog, c, 1)
    tags = [set(world.catalog.tags(i)) for i in c.ids.tolist()]
    even = next(k for k, held in enumerate(tags) if held == {"even"})
    assert set(cap([]).tolist()) == set(range(len(tags)))
    assert set(cap([even]).tolist()) == {k for k, held in enumerate(tags) if "even" not in held}
    rest = [k for k in range(len(tags)) if k != even and "even" not in tags[k]]
    left = set(cap([even, *rest]).tolist())
    assert left == set(range(len(tags))) - {even, *rest}
