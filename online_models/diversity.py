"""How different the items of a slate are from each other, and how little known: guardrails against a bubble.

Coverage and concentration of exposures over the catalogue are metrics of a worker (``freshet_exposure_*``).
"""

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
