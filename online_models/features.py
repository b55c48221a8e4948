"""The one place features are named and computed, for learning and for serving alike.

No scaler is learnt: transforms are fixed and bounded, so that what was logged years ago still means the same, and the
version of the schema says which they were. A source's score enters twice: as ``log(score / best + 0.01)``, 0.01 for the
best candidate and -4.6 for one the source has nothing to say about, which tells the many behind apart; and as its share
of the best, ``score / best``, which tells the few ahead apart. What is logged with a slate and read by the click head
are the first; the shares follow from them. Ages are counted in interactions of the whole stream, not
in hours, so that a busy and a quiet deployment mean the same by them. Ids and file order are never features.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids, Query
from online_models.kernels import sifting as kernel

BOUND = 5.0
OF_ITEM = ("age", "idle", "in_history", "history_recency", "latest", "before_latest", "repeats", "intercept")
GAPS_MS = (1_000, 60_000, 300_000, 3_600_000, 86_400_000)
LENGTHS = (1, 2, 4, 8, 16, 32)
_LEAST = np.float32(0.01)

Rows = NDArray[np.float32]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """Names of the features, in order, and a version that changes when they do.

    The first ``logged`` of them are logged with a slate; the sources' shares, which follow from those, come last.
    """

    names: tuple[str, ...]
    version: str
    logged: int

    @classmethod
    def of(cls, sources: Sequence[str]) -> FeatureSchema:
        """The schema with these sources.

        >>> FeatureSchema.of(["popular"]).names[:2]
        ('popular.score', 'age')
        """
        logged = tuple(f"{s}.score" for s in sources) + OF_ITEM
        names = logged + tuple(f"{s}.share" for s in sources)
        version = "3-" + blake2b("|".join(names).encode(), digest_size=6).hexdigest()
        return cls(names, version, len(logged))


@dataclass(frozen=True, slots=True)
class Buckets:
    """What the ordering head's weights are crossed with.

    ``gap`` is of the time since the user's last action, ``pace`` of the time between the last two, ``length`` of the
    history.
    """

    gap: int
    pace: int
    length: int

    @classmethod
    def of(cls, query: Query) -> Buckets:
        """The buckets of a query; without an action, or with one alone, the gap counts as endless.

        >>> Buckets.of(Query(1, (4, 2), (100_000, 99_500), now=100_000))
        Buckets(gap=0, pace=0, length=2)
        """
        times = query.recent_ts
        gap = query.now - times[0] if times else GAPS_MS[-1]
        pace = times[0] - times[1] if len(times) > 1 else GAPS_MS[-1]
        reached = bisect_right  # how many edges a value has reached
        return cls(reached(GAPS_MS, gap), reached(GAPS_MS, pace), reached(LENGTHS, len(query.recent)))


def shares(scores: Rows, which: NDArray[np.intp]) -> Rows:
    """Each source's scores of some items over the highest of those, float32[sources, n]; zeros where it says nothing.

    Args:
        scores: float32[sources, all], at least 0; 0 where a source has nothing to say.
        which: places of the items.
    """
    return kernel.shares(scores, which)


def logarithms(share: Rows) -> Rows:
    """What is logged of shares, float32 of their shape."""
    out: Rows = share + _LEAST
    return np.log(out, out=out)


def worth(weights: NDArray[np.float32], share: Rows, logs: Rows, of_item: Rows) -> NDArray[np.float32]:
    """``table(...) @ weights`` of all items, without their table, float32[n]."""
    return kernel.worth(weights, share, logs, of_item)


def table(rows: NDArray[np.intp], share: Rows, logs: Rows, of_item: Rows) -> tuple[Rows, NDArray[np.int8]]:
    """The features of some of the items, float32[n, 2 sources + 8], within +-5, and who speaks loudest for each.

    That is the source that rates the item highest against its own best, int8[n]; ties to the first.

    Args:
        share: of :func:`shares`, float32[sources, all]; ``logs``: their :func:`logarithms`.
        of_item: of :func:`of_items`, float32[all, 8].

    >>> share = np.array([[0.5, 1.0], [1.0, 0.3]], dtype=np.float32)
    >>> table(np.arange(2), share, logarithms(share), np.zeros((2, 8), dtype=np.float32))[1].tolist()
    [1, 0]
    """
    return kernel.table(rows, share, logs, of_item)


def of_items(ids: Ids, query: Query, seen: Counts, now: int) -> Rows:
    """What is told of items beside their scores, float32[n, 8], within +-5.

    An age is a fifth of the logarithm of one more than the interactions of the stream since.

    Args:
        ids: int32[n], ascending.
        seen: the interaction by which each item was first and last acted on, int64[items, 2]; below 0 for never, as it
            is for items beyond its end.
        now: interactions of the stream so far.
    """
    return kernel.of_items(ids, query.recent, seen, now)


def logged(rows: Rows) -> Rows:
    """The features that are logged with a slate, of rows that hold all of them: a view.

    >>> logged(np.zeros((3, 2 * 19 + len(OF_ITEM)), dtype=np.float32)).shape
    (3, 27)
    """
    return rows[:, : (rows.shape[1] + len(OF_ITEM)) // 2]
