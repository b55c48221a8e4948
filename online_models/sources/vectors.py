"""Vectors that the catalogue brings along: of text, picture or sound, by whatever model made them.

All have one length, that of the first; what has another, is zero or is not finite is refused and counted. Memory is
bounded in bytes: when it is used up, the item noted longest ago gives its place away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.index import VectorIndex

Vectors = NDArray[np.float32]

_START = 256
_EXACT = 2_500_000  # numbers that exact search may look at in one request: about a millisecond
_NONE = np.zeros(0, dtype=np.int32)


class CatalogueVectors:
    """Vectors by item, searched by cosine.

    Args:
        memory: bytes of vectors, at least 4; the search graph of a large catalogue takes up to as much again.
        seed: of the search graph.

    >>> vectors = CatalogueVectors()
    >>> vectors.note(7, [1.0, 0.0]), vectors.note(8, [3.0, 4.0]), vectors.note(9, [1.0])
    (True, True, False)
    >>> vectors.nearest(vectors.profile([7], fade=0.8), 5).tolist(), dict(vectors.refused)
    ([7, 8], {'length': 1})
    """

    def __init__(self, *, memory: int = 256_000_000, seed: int = 0) -> None:
        if memory < 4:
            raise ValueError(f"memory must be at least 4 bytes, not {memory}")
        self.memory, self.seed = memory, seed
        self.refused: Counter[str] = Counter()
        self._index: VectorIndex | None = None
        self._most = 0  # places there is memory for
        self._places: dict[int, int] = {}  # item -> place, in order of noting
        self._free: list[int] = []
        self._place = np.full(_START, -1, dtype=np.int32)  # by item
        self._item = np.full(_START, -1, dtype=np.int32)  # by place

    def __len__(self) -> int:
        return len(self._places)

    def note(self, item: int, vector: Sequence[float]) -> bool:
        """Take an item's vector over; False (and counted) when it cannot be used."""
        self.drop(item)
        row = np.asarray(vector, dtype=np.float64)[None]
        norm = float(np.linalg.norm(row))
        if not np.isfinite(norm) or norm == 0.0:
            self.refused["zero or not finite"] += 1
            return False
        if self._index is None or not self._places:
            self._begin(row.shape[1])
        index = self._index
        if index is None or row.shape[1] != index.dims or not self._most:
            self.refused["length"] += 1
            return False
        place = self._take(item)
        index.upsert(np.array([place]), (row / norm).astype(np.float32))
        if index.due:
            index.rebuild()
        return True

    def _begin(self, dims: int) -> None:
        """No vector is held: the next one says how long they are."""
        if dims:
            self._index = VectorIndex(dims, exact_below=max(_START, _EXACT // dims), seed=self.seed)
            self._most, self._free = self.memory // (4 * dims), []

    def _take(self, item: int) -> int:
        """A place for an item: a free one, or that of the item noted longest ago."""
        if len(self._places) >= self._most:
            self._leave(next(iter(self._places)))
        place = self._free.pop() if self._free else len(self._places)
        self._places[item] = place
        self._place, self._item = _room(self._place, item), _room(self._item, place)
        self._place[item], self._item[place] = place, item
        return place

    def _leave(self, item: int) -> int:
        place = self._places.pop(item)
        self._free.append(place)
        self._place[item] = self._item[place] = -1
        return place

    def drop(self, item: int) -> None:
        """Forget an item's vector."""
        if item in self._places and self._index is not None:
            self._index.remove(self._leave(item))

    # ------------------------------------------------------------------ answering

    def profile(self, items: Sequence[int], fade: float) -> Vectors:
        """The vectors of some items added up, each ``fade`` times the one before, float32[dims]; empty for none."""
        held = [(fade**age, self._places[item]) for age, item in enumerate(items) if item in self._places]
        if not held or self._index is None:
            return np.zeros(0, dtype=np.float32)
        weights = np.array([weight for weight, _ in held], dtype=np.float32)
        total: Vectors = weights @ self._index.vectors(np.array([place for _, place in held], dtype=np.int32))
        norm = float(np.linalg.norm(total))
        return total / np.float32(norm) if norm > 0 else np.zeros(0, dtype=np.float32)

    def nearest(self, profile: Vectors, n: int) -> Ids:
        """The ``n`` items of greatest cosine above 0, best first."""
        if not len(profile) or self._index is None:
            return _NONE
        found: Ids = self._item[self._index.search(profile, n)[0]]
        return found

    def cosines(self, profile: Vectors, ids: Ids) -> Vectors:
        """Cosine of each of some ascending ids with the profile, at least 0, float32[n]; 0 where there is no vector."""
        out = np.zeros(len(ids), dtype=np.float32)
        if not len(profile) or self._index is None:
            return out
        places = self._place[ids[: int(ids.searchsorted(len(self._place)))]]
        held = np.flatnonzero(places >= 0)
        out[held] = np.maximum(self._index.vectors(places[held]) @ profile, np.float32(0.0))
        return out


def _room(array: NDArray[np.int32], at: int) -> NDArray[np.int32]:
    """The array, long enough for a place."""
    if at < len(array):
        return array
    return np.concatenate([array, np.full(max(2 * len(array), at + 1) - len(array), -1, dtype=np.int32)])
