"""Nearest item vectors: HNSW over what is settled, exact search over what has moved since; never written while read.

hnswlib must not be searched while it is written (nmslib/hnswlib #562, #590), and moving a point in it costs a dozen
times a fresh insert. So the graph is built once and then only read; vectors that moved are searched exactly beside it,
and when they are many a new graph is built from a copy, in another thread, and swapped in. A vector is therefore found
the moment it is set. Vectors are normalised: with raw inner products HNSW loses up to half its recall on
popularity-shaped vectors; the true score is for the ranker to compute.
"""

from __future__ import annotations

import logging
import threading

import hnswlib
import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Scores
from online_models.scratch import best

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]


class VectorIndex:
    """Item vectors by interned id, searched by cosine.

    Args:
        dims: length of a vector, at least 1.
        exact_below: with fewer items than this, search is exact and no graph is built.
        rebuild_share: a new graph is due when this share of the items has moved, in (0, 1].
        ef: breadth of a search in the graph; M and ef_construction: its density.

    >>> index = VectorIndex(dims=2)
    >>> index.upsert(np.array([3, 8]), np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32))
    >>> index.search(np.array([0.1, 1.0], dtype=np.float32), 1)[0].tolist()
    [8]
    """

    def __init__(
        self,
        dims: int,
        *,
        exact_below: int = 20_000,
        rebuild_share: float = 0.1,
        m: int = 16,
        ef_construction: int = 100,
        ef: int = 128,
        seed: int = 0,
    ) -> None:
        if dims < 1 or exact_below < 0 or not 0 < rebuild_share <= 1:
            raise ValueError("dims must be at least 1, exact_below at least 0, rebuild_share in (0, 1]")
        self.dims, self.exact_below, self.rebuild_share = dims, exact_below, rebuild_share
        self._m, self._ef_construction, self._ef, self._seed = m, ef_construction, ef, seed
        self._vectors = np.zeros((256, dims), dtype=np.float32)
        self._live = np.zeros(256, dtype=np.bool_)
        self._moved: dict[int, None] = {}  # not in the graph as they are now
        self._graph: hnswlib.Index | None = None
        self._building: threading.Thread | None = None
        self._built: tuple[hnswlib.Index, NDArray[np.int_]] | None = None
        self._moved_since: dict[int, None] | None = None
        self.refused = self.graph_faults = self.rebuilds = 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._live))

    # ------------------------------------------------------------------ writing

    def upsert(self, ids: NDArray[np.int_], vectors: Vectors) -> None:
        """Set the vectors of items; one that is zero or not finite is refused and counted."""
        norms = np.linalg.norm(vectors, axis=1)
        good = np.isfinite(norms) & (norms > 0)
        self.refused += int(len(good) - good.sum())
        ids, vectors, norms = ids[good], vectors[good], norms[good]
        if not len(ids):
            return
        self._room(int(ids.max()))
        self._vectors[ids] = vectors / norms[:, None]
        self._live[ids] = True
        self._note(ids.tolist())

    def remove(self, item: int) -> None:
        """Forget an item's vector."""
        if item < len(self._live) and self._live[item]:
            self._live[item] = False
            self._note([item])

    def _note(self, ids: list[int]) -> None:
        for table in (self._moved, self._moved_since):
            if table is not None:
                table.update(dict.fromkeys(ids))

    def _room(self, item: int) -> None:
        size = len(self._live)
        if item >= size:
            more = max(2 * size, item + 1) - size
            self._vectors = np.concatenate([self._vectors, np.zeros((more, self.dims), dtype=np.float32)])
            self._live = np.concatenate([self._live, np.zeros(more, dtype=np.bool_)])

    # ------------------------------------------------------------------ searching

    def vectors(self, ids: Ids) -> Vectors:
        """Normalised vectors, float32[n, dims]; zeros where there is none."""
        known = ids < len(self._live)
        at = np.where(known, ids, 0)
        out: Vectors = np.where((known & self._live[at])[:, None], self._vectors[at], np.float32(0.0))
        return out

    def search(self, query: Vectors, n: int) -> tuple[Ids, Scores]:
        """The ``n`` items of greatest cosine with ``query``, best first, ties by the lower id."""
        norm = float(np.linalg.norm(query))
        if not np.isfinite(norm) or norm == 0.0:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        self._swap()
        unit = (query / norm).astype(np.float32)
        if self._graph is None:
            return self._exact_of_all(unit, n)
        moved = np.fromiter(self._moved, dtype=np.int64, count=len(self._moved))
        settled = self._settled(self._graph, unit, n)
        if settled is None:
            return self._exact_of_all(unit, n)
        return self._exact(unit, np.concatenate([settled, moved[self._live[moved]]]), n)

    def _settled(self, graph: hnswlib.Index, unit: Vectors, n: int) -> NDArray[np.int64] | None:
        """Items the graph proposes that have not moved since; None when the graph cannot answer."""
        k = min(n + 16, graph.element_count)
        try:
            labels, _ = graph.knn_query(unit, k=k, num_threads=1)
        except RuntimeError as error:  # fewer than k reachable, or a damaged graph
            self.graph_faults += 1
            log.warning("vector index: %s; exact search until it is rebuilt", error)
            self._graph = None
            self.rebuild()
            return None
        return np.array([i for i in labels[0].tolist() if i not in self._moved], dtype=np.int64)

    def _exact(self, unit: Vectors, ids: NDArray[np.int_], n: int) -> tuple[Ids, Scores]:
        # a cosine of 0 or below is no recommendation; best() leaves it out
        return best(ids.astype(np.int32), self._vectors[ids] @ unit, n)

    def _exact_of_all(self, unit: Vectors, n: int) -> tuple[Ids, Scores]:
        score = self._vectors @ unit  # of all rows: cheaper than picking out the live ones
        score[~self._live] = 0.0
        return best(np.arange(len(score), dtype=np.int32), score, n)

    # ------------------------------------------------------------------ building

    @property
    def due(self) -> bool:
        """Whether a new graph should be built."""
        live = len(self)
        if live < self.exact_below or self._building is not None:
            return False
        return self._graph is None or len(self._moved) > self.rebuild_share * live

    def rebuild(self, *, wait: bool = False) -> None:
        """Build a new graph from a copy in another thread; searches go on meanwhile."""
        if self._building is None:
            ids = np.flatnonzero(self._live)
            copy = self._vectors[ids].copy()
            self._moved_since = {}
            self._building = threading.Thread(target=self._build, args=(ids, copy), daemon=True)
            self._building.start()
        if wait:
            self._building.join()
            self._swap()

    def _build(self, ids: NDArray[np.int_], vectors: Vectors) -> None:
        graph = hnswlib.Index(space="ip", dim=self.dims)
        graph.init_index(
            max_elements=max(len(ids), 1),
            M=self._m,
            ef_construction=self._ef_construction,
            random_seed=self._seed,
        )
        graph.set_ef(self._ef)
        graph.set_num_threads(1)
        if len(ids):
            graph.add_items(vectors, ids, num_threads=1)
        if self._building is threading.current_thread():  # else other vectors were loaded meanwhile
            self._built = (graph, ids)

    def _swap(self) -> None:
        """Take a finished graph over, with what moved while it was built."""
        if self._built is None:
            return
        self._graph, _ = self._built
        self._moved = self._moved_since or {}
        self._built = self._building = self._moved_since = None
        self.rebuilds += 1

    # ------------------------------------------------------------------ snapshots

    def arrays(self) -> Arrays:
        """Vectors and which are live; the graph is built anew from them."""
        return {"vectors": self._vectors.copy(), "live": self._live.copy()}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave; exact search until the graph is built."""
        self._vectors, self._live = arrays["vectors"].copy(), arrays["live"].copy()
        self._graph = self._built = self._building = self._moved_since = None
        self._moved = {}
