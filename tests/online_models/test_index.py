"""The vector index: found the moment it is set, never wrong while a graph is built, exact when the graph is broken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.index import VectorIndex


def clustered(n: int, dims: int, seed: int) -> np.ndarray:
    """Vectors shaped like popularity: off centre, norms log-normal."""
    rng = np.random.default_rng(seed)
    out = (rng.normal(0.3, 1.0, (n, dims)) * rng.lognormal(0.0, 1.0, (n, 1))).astype(np.float32)
    return out


def exact(vectors: np.ndarray, query: np.ndarray, n: int) -> list[int]:
    cosine = vectors @ query / np.linalg.norm(vectors, axis=1)
    return np.argsort(-cosine, kind="stable")[:n].tolist()


@pytest.fixture
def built() -> tuple[VectorIndex, np.ndarray]:
    vectors = clustered(2_000, 16, seed=1)
    index = VectorIndex(16, exact_below=500)
    index.upsert(np.arange(2_000), vectors)
    index.rebuild(wait=True)
    return index, vectors


def test_a_graph_finds_nearly_what_exact_search_finds(built: tuple[VectorIndex, np.ndarray]) -> None:
    index, vectors = built
    queries = clustered(50, 16, seed=2)
    found = [set(index.search(q, 20)[0].tolist()) & set(exact(vectors, q, 20)) for q in queries]
    assert np.mean([len(f) for f in found]) / 20 > 0.98


def test_a_moved_vector_is_found_at_once_at_its_new_place_and_not_at_its_old(
    built: tuple[VectorIndex, np.ndarray],
) -> None:
    index, vectors = built
    target = -vectors[7]
    index.upsert(np.array([7]), target[None, :])
    assert index.search(target, 1)[0].tolist() == [7]
    assert 7 not in index.search(vectors[7], 20)[0]


def test_a_removed_item_is_not_found_and_a_new_one_beyond_the_end_is(
    built: tuple[VectorIndex, np.ndarray],
) -> None:
    index, vectors = built
    index.remove(7)
    assert 7 not in index.search(vectors[7], 20)[0]
    index.upsert(np.array([9_000]), vectors[7][None, :])
    assert index.search(vectors[7], 1)[0].tolist() == [9_000]


def test_searches_go_on_and_stay_right_while_a_graph_is_built() -> None:
    vectors = clustered(3_000, 16, seed=3)
    index = VectorIndex(16, exact_below=500)
    index.upsert(np.arange(3_000), vectors)
    index.rebuild()
    for k in range(200):
        index.upsert(np.array([k]), -vectors[k][None, :])
        assert index.search(-vectors[k], 1)[0].tolist() == [k]
    index.rebuild(wait=True)
    assert index.rebuilds >= 1
    assert index.search(-vectors[5], 1)[0].tolist() == [5]


class Broken:
    """A graph whose memory is damaged, as hnswlib reports it."""

    element_count = 2_000

    def knn_query(self, *_: object, **__: object) -> None:
        raise RuntimeError("Cannot return the results in a contiguous 2D array")


def test_a_corrupt_graph_is_answered_by_exact_search_and_built_anew(
    built: tuple[VectorIndex, np.ndarray],
) -> None:
    index, vectors = built
    index._graph = Broken()
    query = clustered(1, 16, seed=4)[0]
    assert index.search(query, 20)[0].tolist() == exact(vectors, query, 20)
    assert index.graph_faults == 1
    index.rebuild(wait=True)
    assert index._graph is not None
    assert set(index.search(query, 5)[0].tolist()) == set(exact(vectors, query, 5))


def test_few_items_need_no_graph_and_many_make_one_due() -> None:
    index = VectorIndex(8, exact_below=100, rebuild_share=0.5)
    index.upsert(np.arange(99), clustered(99, 8, seed=5))
    assert not index.due
    index.upsert(np.arange(99, 200), clustered(101, 8, seed=6))
    assert index.due
    index.rebuild(wait=True)
    assert not index.due
    index.upsert(np.arange(100), clustered(100, 8, seed=7))
    assert not index.due
    index.upsert(np.arange(101), clustered(101, 8, seed=8))
    assert index.due


def test_vectors_that_are_zero_or_not_finite_are_refused_and_counted() -> None:
    index = VectorIndex(2)
    index.upsert(np.array([1, 2, 3]), np.array([[0, 0], [np.nan, 1], [1, 0]], dtype=np.float32))
    assert (index.refused, len(index)) == (2, 1)
    assert len(index.search(np.array([np.nan, 0.0], dtype=np.float32), 5)[0]) == 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 100)), min_size=1, max_size=40))
def test_a_restored_index_answers_alike(moves: list[tuple[int, int]]) -> None:
    index = VectorIndex(4)
    for item, seed in moves:
        index.upsert(np.array([item]), clustered(1, 4, seed))
    copy = VectorIndex(4)
    copy.load(index.arrays())
    query = clustered(1, 4, seed=0)[0]
    for one, two in zip(index.search(query, 10), copy.search(query, 10), strict=True):
        assert one.tolist() == two.tolist()


@pytest.mark.parametrize(("dims", "share"), [(0, 0.1), (4, 0.0), (4, 1.5)])
def test_settings_out_of_range_are_refused(dims: int, share: float) -> None:
    with pytest.raises(ValueError, match="dims must be at least 1"):
        VectorIndex(dims, rebuild_share=share)
