"""How exposures spread over items, how different those of a slate are, how little known: against a bubble."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def intra_list_diversity(vectors: NDArray[np.float32]) -> float:
    """One less the mean likeness of all pairs of a slate (Ziegler et al., WWW 2005); 0 for fewer than two items.

    Args:
        vectors: normalised, float32[n, d]; one of zeros is like no other.

    >>> intra_list_diversity(np.eye(3, dtype=np.float32)), intra_list_diversity(np.ones((2, 1), dtype=np.float32))
    (1.0, 0.0)
    """
    n = len(vectors)
    if n < 2:
        return 0.0
    total = vectors.sum(axis=0, dtype=np.float64)
    own = float((vectors.astype(np.float64) ** 2).sum())
    return 1.0 - (float(total @ total) - own) / (n * (n - 1))


def novelty(shown: NDArray[np.int64], total: int) -> float:
    """The mean self-information of a slate's items, bits (Zhou et al., PNAS 2010): high where few have seen them.

    Args:
        shown: impressions of each item of the slate.
        total: impressions of all items.

    >>> novelty(np.array([1, 1]), total=1022), novelty(np.array([], dtype=np.int64), total=5)
    (9.0, 0.0)
    """
    if not len(shown):
        return 0.0
    return float(-np.log2((shown + 1.0) / (total + 2.0)).mean())


def gini(counts: NDArray[np.int64]) -> float:
    """How unevenly exposures are spread over items: 0 for evenly, near 1 for all on one (Gini, 1912).

    >>> gini(np.array([5, 5, 5, 5])), round(gini(np.array([0, 0, 0, 20])), 2)
    (0.0, 0.75)
    """
    return gini_of_shown(counts[counts > 0], len(counts))


def gini_of_shown(counts: NDArray[np.int64], items: int) -> float:
    """The same from the counts of those that were shown alone; ``items`` is how many there are.

    >>> gini_of_shown(np.array([20]), 4), gini_of_shown(np.array([], dtype=np.int64), 4)
    (0.75, 0.0)
    """
    total, never = int(counts.sum()), items - len(counts)
    if not total:
        return 0.0
    ranks = np.arange(never + 1, items + 1)
    return float(2.0 * (ranks @ np.sort(counts)) / (items * total) - (items + 1) / items)
