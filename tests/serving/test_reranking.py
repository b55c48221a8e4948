"""Diversity and caps in worlds of a few vectors, where the answer is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.bandit import Greedy, draw_slate
from online_models.chance import generator
from serving.reranking import Diversity, TagCap, best_slate, tag_table
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


def plainly(
    scores: np.ndarray, vectors: np.ndarray, weight: float, slots: int, tags: list[set[int]], most: int,
    new_slot: int | None, new: set[int],
) -> tuple[int, ...]:  # fmt: skip
    """The rules of a greedy slate, word for word."""
    spread = scores.max() - np.sort(scores)[::-1][: 3 * slots][-1]
    chosen: list[int] = []
    while len(chosen) < min(slots, len(scores)):
        left = [k for k in range(len(scores)) if k not in chosen]
        used = Counter(tag for k in chosen for tag in tags[k])
        able = [k for k in left if not most or all(used[tag] < most for tag in tags[k])] or left
        if len(chosen) == new_slot:
            able = [k for k in able if k in new] or able
        said = {
            k: scores[k]
            - weight
            / (1 - weight)
            * spread
            * max([float(vectors[k] @ vectors[c]) for c in chosen], default=0)
            for k in able
        }
        chosen.append(min(able, key=lambda k: (-said[k], k)))
    return tuple(chosen)


@given(
    n=st.integers(1, 12), slots=st.integers(1, 14), weight=st.sampled_from([0.0, 0.25, 0.75]),
    most=st.integers(0, 2), new_slot=st.one_of(st.none(), st.integers(0, 6)), seed=st.integers(0, 10_000),
)  # fmt: skip
def test_the_greedy_slate_keeps_likeness_caps_and_new_items_as_the_rules_say(
    n: int, slots: int, weight: float, most: int, new_slot: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, n).astype(float)  # with ties
    vectors = np.eye(4, dtype=np.float32)[rng.integers(0, 4, n)]  # alike or not at all: no rounding decides
    held = [set(rng.integers(0, 4, rng.integers(0, 3)).tolist()) for _ in range(n)]
    tags = np.array([sorted(row) + [-1] * (3 - len(row)) for row in held], dtype=np.int32)
    new = rng.choice(n, rng.integers(0, n + 1), replace=False)
    got = best_slate(scores, vectors, weight, slots, tags=tags, most=most, new_slot=new_slot, new=new)
    assert got == plainly(scores, vectors, weight, slots, held, most, new_slot, set(new.tolist()))


def test_the_table_of_tags_holds_what_the_catalogue_says() -> None:
    world = World()
    ids = world.learner.model.candidates(world.user().query(1, 2_000_000_000_000), 12).ids
    table = tag_table(world.catalog, ids)
    for a, one in zip(ids.tolist(), table, strict=True):
        for b, other in zip(ids.tolist(), table, strict=True):
            shared = set(world.catalog.tags(a)) & set(world.catalog.tags(b))
            assert len({t for t in one.tolist() if t >= 0} & set(other.tolist())) == len(shared)
