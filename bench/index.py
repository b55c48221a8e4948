"""The vector index on vectors as the stream makes them: recall, search time, when a moved vector is found, rebuilds.

Vectors are learnt from simulated sessions over topics, not drawn at random: random ones are easy to search.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import report
from online_models.base import Interaction
from online_models.index import VectorIndex
from online_models.sources.embedding import Embedding

TOPICS = 200
K = 100
SIZES = (2_000, 5_000, 10_000, 20_000, 50_000)
_QUERIES = 200
_SESSION = 8
Vectors = NDArray[np.float32]


def run(*, long: bool = False) -> report.Result:
    """The benchmark."""
    items = 1_000_000 if long else 100_000
    queries, vectors = learnt(items, events=3 * items)
    index = VectorIndex(vectors.shape[1], exact_below=0)
    ids = np.arange(items)
    index.upsert(ids, vectors)
    paused, build_s = _while_building(index, queries)
    settled = [_timed(index, query) for query in queries]
    recalls = [
        len(set(found) & _exact(vectors, q)) / K for q, (found, _) in zip(queries, settled, strict=True)
    ]
    figures: dict[str, Any] = {
        "items": items,
        "recall_at_100": report.spread(recalls, 3) | {"mean": round(float(np.mean(recalls)), 4)},
        "search_us": report.spread([us for _, us in settled], 0),
        "exact_us": report.spread([_exact_us(vectors, q) for q in queries[:50]], 0),
        "moved_to_findable_ms": report.spread(_moved(index, vectors, queries), 3),
        "rebuild_s": round(build_s, 1),
        "search_while_rebuilding_p99_us": round(report.percentile(paused, 99)),
        "crossing": crossing(vectors, queries),
    }
    return report.finished("index", figures, {"dims": vectors.shape[1], "m": 16, "ef": 128, "k": K})


def learnt(items: int, events: int) -> tuple[Vectors, Vectors]:
    """Query vectors of users and item vectors, learnt from sessions that each stay within a topic."""
    rng = np.random.default_rng(0)
    embedding = Embedding(exact_below=10 * items)  # its own index is not wanted here
    topic = rng.integers(0, TOPICS, items)
    by_topic = [np.flatnonzero(topic == t) for t in range(TOPICS)]
    user_vectors: list[Vectors] = []
    recent: tuple[int, ...] = ()
    for k in range(events):
        if k % _SESSION == 0:
            if recent and k > events - _SESSION * 4 * _QUERIES:
                user_vectors.append(embedding.user_vector(recent))
            here = by_topic[int(rng.integers(TOPICS))]
            recent = ()
        # every item is met once, so that each has a vector of its own; then the popular ones again
        item = k if k < items else int(here[int(len(here) * rng.random() ** 2)])
        embedding.learn_one(Interaction(0, item, k, recent, (0,) * len(recent)))
        recent = (item, *recent)[:_SESSION]
    return np.stack(user_vectors[-_QUERIES:]), embedding.vectors(np.arange(items, dtype=np.int32))


def _exact(vectors: Vectors, query: Vectors) -> set[int]:
    score = vectors @ (query / np.linalg.norm(query))
    return set(np.argpartition(-score, K)[:K].tolist())


def _timed(index: VectorIndex, query: Vectors) -> tuple[list[int], float]:
    begun = time.perf_counter()
    found, _ = index.search(query, K)
    return found.tolist(), 1e6 * (time.perf_counter() - begun)


def _exact_us(vectors: Vectors, query: Vectors) -> float:
    begun = time.perf_counter()
    _exact(vectors, query)
    return 1e6 * (time.perf_counter() - begun)


def _while_building(index: VectorIndex, queries: Vectors) -> tuple[list[float], float]:
    """How long searches take while a graph is built beside them, us, and how long the building takes, s."""
    index.rebuild(wait=True)
    begun, waits = time.perf_counter(), []
    done = threading.Event()

    def build() -> None:
        index.rebuild(wait=False)
        while index.rebuilds < 2:
            time.sleep(0.01)
        done.set()

    builder = threading.Thread(target=build)
    builder.start()
    while not done.is_set():
        for query in queries[:20]:
            waits.append(_timed(index, query)[1])
        time.sleep(0.05)
    builder.join()
    return waits, time.perf_counter() - begun


def _moved(index: VectorIndex, vectors: Vectors, queries: Vectors) -> list[float]:
    """From setting an item's vector to where a search must find it, to finding it, ms."""
    waits = []
    for item, query in enumerate(queries[:50]):
        begun = time.perf_counter()
        index.upsert(np.array([item]), query[None])
        while item not in index.search(query, K)[0].tolist():
            time.sleep(0.001)
        waits.append(1e3 * (time.perf_counter() - begun))
        index.upsert(np.array([item]), vectors[item][None])
    return waits


def crossing(vectors: Vectors, queries: Vectors) -> dict[str, dict[str, float]]:
    """Exact search and the graph at several sizes, median us: where they cross ``exact_below`` should lie."""
    out = {}
    for size in (n for n in SIZES if n <= len(vectors)):
        part = vectors[:size]
        times = {}
        for kind, exact_below in (("exact_us", size + 1), ("graph_us", 0)):
            index = VectorIndex(part.shape[1], exact_below=exact_below)
            index.upsert(np.arange(size), part)
            if kind == "graph_us":
                index.rebuild(wait=True)
                index.search(queries[0], K)
            times[kind] = round(float(np.median([_timed(index, q)[1] for q in queries[:100]])))
        out[str(size)] = times
    return out
