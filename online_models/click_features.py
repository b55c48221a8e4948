"""What the click head reads of a candidate: the ordering head's features, its verdict, and how often the item,
the surface and the user are clicked. Named and computed here alone, for learning and for serving alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.counters import CLICK, IMPRESSION, ItemCounters
from online_models.decay import scale
from online_models.features import OF_ITEM, FeatureSchema, Rows
from online_models.history import UserRecord
from online_models.kernels import click as kernel

EXTRA = (
    "order.behind_best",
    "order.place",
    "item.click_rate",
    "item.seen",
    "user.click_rate",
    "user.actions",
    "user.passed_over",
    "user.no_click_yet",
)
PRIOR_OF_USER = 40.0
SILENCE = 4.6
"""What a source's score is below its best when it has nothing to say; here that reads 0, so that it moves nothing."""


@dataclass(frozen=True, slots=True)
class ClickSchema:
    """Names of the click head's features, in order, and a version that changes when they or the ordering head's do."""

    names: tuple[str, ...]
    version: str

    @classmethod
    def of(cls, ordering: FeatureSchema) -> ClickSchema:
        """The schema above an ordering head's.

        >>> ClickSchema.of(FeatureSchema.of(["popular"])).names[-1]
        'user.no_click_yet'
        """
        names = (*ordering.names[: ordering.logged], *EXTRA)
        told = "|".join((ordering.version, *names)).encode()
        return cls(names, "c4-" + blake2b(told, digest_size=6).hexdigest())


def beside(
    ids: Ids,
    scores: NDArray[np.float64],
    places: NDArray[np.int_],
    counters: ItemCounters,
    record: UserRecord | None,
    *,
    surface: str,
    now: int,
) -> Rows:
    """What the click head reads beside the ordering head's features, float32[n, 8], within +-5.

    Args:
        scores: of the ordering head, finite, float64[n].
        places: the candidate's place in their order, 0 for the first, int[n].
    """
    rate = counters.surface_rate(surface)
    middle, clicks = log_odds(rate), record.counts.get(CLICK, 0) if record is not None else 0
    of_user = log_odds(user_rate(record, counters, rate, now)) - middle, 0.3 * math.log1p(clicks), not clicks
    return kernel.beside(
        ids.astype(np.int32, copy=False), scores, places,
        counters.windows(CLICK, now), counters.windows(IMPRESSION, now),
        record.shown if record is not None else (),
        counters.prior_impressions, rate, middle, np.array(of_user, dtype=np.float32),
    )  # fmt: skip


def join(which: NDArray[np.intp], rows: Rows, more: Rows) -> tuple[NDArray[np.float16], int]:
    """The features of some candidates as served, float16[n, F], and how many were missing (given their default, 0).

    Args:
        which: rows of those two tables.
        rows: the ordering head's features; those that are logged are taken.
        more: those :func:`beside` them, float32[all, 8].
    """
    out, absent = kernel.joined(which, rows, more, *_widths(rows), SILENCE)
    return out.astype(np.float16), absent


def product(rows: Rows, more: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """``join`` of all rows times weights without making that table, nor rounding it, float64[n].

    >>> rows, more = np.zeros((1, 10), dtype=np.float32), np.ones((1, 8), dtype=np.float32)
    >>> float(product(rows, more, np.ones(17)).round(5)[0])
    10.3
    """
    return kernel.product(rows, more, weights, *_widths(rows), SILENCE)


def _widths(rows: Rows) -> tuple[int, int]:
    """How many of the ordering head's features are of sources, and how many are logged."""
    sources = (rows.shape[1] - len(OF_ITEM)) // 2
    return sources, sources + len(OF_ITEM)


def user_rate(record: UserRecord | None, counters: ItemCounters, rate: float, now: int) -> float:
    """A user's decayed clicks per impression, drawn towards ``rate`` where little was seen."""
    seen = clicks = 0.0
    for mark, (impressions, clicked) in (record.windows if record is not None else {}).items():
        factor = scale(mark, now, counters.half_life_ms)
        seen, clicks = seen + impressions * factor, clicks + clicked * factor
    return (clicks + PRIOR_OF_USER * rate) / (max(seen, clicks) + PRIOR_OF_USER)


def log_odds(p: float) -> float:
    """Log-odds, kept finite.

    >>> log_odds(0.5)
    0.0
    """
    inside = min(max(p, 1e-6), 1.0 - 1e-6)
    return math.log(inside / (1.0 - inside))
