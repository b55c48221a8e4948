"""The one place features are named and computed, for learning and for serving alike.

No scaler is learnt: transforms are fixed and bounded, so that what was logged years ago still means the same, and the
version of the schema says which they were. A source's score enters twice: as ``log(score / best + 0.01)``, 0.01 for the
best candidate and -4.6 for one the source has nothing to say about, which tells the many behind apart; and as its share
of the best, ``score / best``, which tells the few ahead apart. What is logged with a slate and read by the click head
are the first; the shares follow from them. Ages are counted in interactions of the whole stream, not
in hours, so that a busy and a quiet deployment mean the same by them. Ids and file order are never features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids, Query
from online_models.scratch import located

BOUND = 5.0
OF_ITEM = ("age", "idle", "in_history", "history_recency", "latest", "before_latest", "repeats", "intercept")
GAPS_MS = (1_000, 60_000, 300_000, 3_600_000, 86_400_000)
LENGTHS = (1, 2, 4, 8, 16, 32)

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
        return cls(_bucket(GAPS_MS, gap), _bucket(GAPS_MS, pace), _bucket(LENGTHS, len(query.recent)))


def _bucket(edges: Sequence[int], value: int) -> int:
    """How many edges ``value`` has reached."""
    n = 0
    for edge in edges:
        if value < edge:
            break
        n += 1
    return n


def shares(scores: Rows) -> Rows:
    """Each source's scores over its highest, float32[sources, n]; zeros where it has nothing to say.

    Args:
        scores: float32[sources, n], at least 0; 0 where a source has nothing to say.
    """
    highest = np.maximum(scores.max(axis=1, initial=0.0), np.float32(1e-30))
    out: Rows = scores / highest[:, None]
    return out


def logarithms(share: Rows) -> Rows:
    """What is logged of shares, float32 of their shape."""
    out: Rows = np.log(share + np.float32(0.01))
    return out


def compute(share: Rows, logs: Rows, of_item: Rows) -> Rows:
    """The features of some items, float32[n, 2 sources + 8], within +-5.

    Args:
        share: of :func:`shares`, float32[sources, n]; ``logs``: their :func:`logarithms`.
        of_item: of :func:`of_items`, float32[n, 8].
    """
    sources = len(share)
    out = np.empty((len(of_item), 2 * sources + len(OF_ITEM)), dtype=np.float32)
    out[:, :sources] = logs.T
    out[:, sources:-sources] = of_item
    out[:, -sources:] = share.T
    return out


def of_items(ids: Ids, query: Query, since_first: Counts, since_last: Counts) -> Rows:
    """What is told of items beside their scores, float32[n, 8], within +-5.

    Args:
        ids: int32[n], ascending.
        since_first, since_last: int64[n], interactions of the stream since each item was first and last acted on; below
            0 for never.
    """
    out = np.empty((len(ids), len(OF_ITEM)), dtype=np.float32)
    out[:, 0] = _age(since_first, never=0.0)
    out[:, 1] = _age(since_last, never=BOUND)
    out[:, 2:7] = _of_history(ids, query)
    out[:, 7] = 1.0
    return np.minimum(out, BOUND, out=out)


def logged(rows: Rows) -> Rows:
    """The features that are logged with a slate, of rows that hold all of them: a view.

    >>> logged(np.zeros((3, 2 * 19 + len(OF_ITEM)), dtype=np.float32)).shape
    (3, 27)
    """
    return rows[:, : (rows.shape[1] + len(OF_ITEM)) // 2]


def _age(since: Counts, never: float) -> NDArray[np.float32]:
    """A fifth of the logarithm of one more than a count."""
    out: NDArray[np.float32] = np.log(np.maximum(since, 0).astype(np.float32) + np.float32(1.0))
    out *= np.float32(0.2)
    out[since < 0] = never
    return out


def _of_history(ids: Ids, query: Query) -> Rows:
    """Whether each item is in the history, how recently, whether it is its last or last but one, and repeats."""
    out = np.zeros((len(ids), 5), dtype=np.float32)
    if not query.recent:
        return out
    places: dict[int, int] = {}
    repeats: dict[int, int] = {}
    for k, item in enumerate(query.recent):
        places.setdefault(item, k)
        repeats[item] = repeats.get(item, -1) + 1
    held = np.fromiter(places, dtype=np.int64, count=len(places))
    rows, found = located(ids, held)
    place = np.fromiter(places.values(), dtype=np.float32, count=len(places))[found]
    out[rows, 0] = 1.0
    out[rows, 1] = 1.0 / (1.0 + place)
    out[rows, 2] = place == 0
    out[rows, 3] = place == 1
    out[rows, 4] = np.log1p(np.fromiter(repeats.values(), dtype=np.float32, count=len(repeats))[found])
    return out
