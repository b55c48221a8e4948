"""The one place features are named and computed, for learning and for serving alike.

No scaler is learnt: transforms are fixed and bounded, so that what was logged years ago still means the same, and the
version of the schema says which they were. A source's score enters as ``log(score / best + 0.01)`` and as its
reciprocal rank, clipped to +-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from online_models.base import Query

BOUND = 5.0
_ABSENT = float(np.log(0.01))
_OF_ITEM = ("item_age", "item_idle", "in_history", "history_recency", "bias")
GAPS_MS = (60_000, 3_600_000, 86_400_000, 7 * 86_400_000)
LENGTHS = (1, 3, 10, 30)

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """Names of the features, in order, and a version that changes when they do."""

    names: tuple[str, ...]
    version: str

    @classmethod
    def of(cls, sources: Sequence[str]) -> FeatureSchema:
        """The schema with these sources.

        >>> FeatureSchema.of(["popular"]).names[:2]
        ('popular.score', 'popular.rank')
        """
        names = tuple(f"{s}.{kind}" for s in sources for kind in ("score", "rank")) + _OF_ITEM
        return cls(names, "1-" + blake2b("|".join(names).encode(), digest_size=6).hexdigest())


def of_sources(scores: NDArray[np.float32], ranks: NDArray[np.int32]) -> Rows:
    """Features of what each source said.

    Args:
        scores: float32[n, S], 0 where a source did not propose the item.
        ranks: int32[n, S], 0 for the best, -1 where it did not.

    Returns:
        float32[n, 2 S], score and rank of each source side by side.
    """
    highest = scores.max(axis=0, initial=1e-30)
    out = np.empty((scores.shape[0], 2 * scores.shape[1]), dtype=np.float32)
    out[:, 0::2] = np.log(scores / np.maximum(highest, 1e-30) + 0.01)
    out[:, 1::2] = np.where(ranks >= 0, 1.0 / (1.0 + np.maximum(ranks, 0)), 0.0)
    return np.clip(out, -BOUND, BOUND, out=out)


def of_items(ids: NDArray[np.int32], query: Query, first: NDArray[np.int64], last: NDArray[np.int64]) -> Rows:
    """Features of the items themselves.

    Args:
        first, last: int64[n], when each item was first and last acted on (or created), ms; 0 when that is not known.

    Returns:
        float32[n, 5]: log days since it appeared, log hours since it was acted on, whether it is in the recent
        history and how recently, and a constant (the intercept).
    """
    out = np.zeros((len(ids), len(_OF_ITEM)), dtype=np.float32)
    age, idle = np.maximum(query.now - first, 0), np.maximum(query.now - last, 0)
    out[:, 0] = np.where(first > 0, np.log1p(age / 86_400_000.0), 0.0)
    out[:, 1] = np.where(last > 0, np.log1p(idle / 3_600_000.0), BOUND)
    place = {item: k for k, item in reversed(list(enumerate(query.recent)))}
    recency = np.array([place.get(i, -1) for i in ids.tolist()], dtype=np.float32)
    out[:, 2] = recency >= 0
    out[:, 3] = np.where(recency >= 0, 1.0 / (1.0 + np.maximum(recency, 0.0)), 0.0)
    out[:, 4] = 1.0
    return np.clip(out, -BOUND, BOUND, out=out)


def buckets(query: Query) -> tuple[int, int]:
    """The buckets of time gap and history length that the ordering head's weights are crossed with."""
    gap = query.now - query.recent_ts[0] if query.recent_ts else GAPS_MS[-1] + 1
    return int(np.searchsorted(GAPS_MS, gap, side="right")), int(
        np.searchsorted(LENGTHS, len(query.recent), side="right")
    )
