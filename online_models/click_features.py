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
from online_models.features import BOUND, OF_ITEM, FeatureSchema, Rows, logged
from online_models.history import UserRecord
from online_models.scratch import located

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
    behind: NDArray[np.float64],
    places: NDArray[np.int_],
    counters: ItemCounters,
    record: UserRecord | None,
    *,
    surface: str,
    now: int,
) -> Rows:
    """What the click head reads beside the ordering head's features, float32[n, 8], within +-5.

    Args:
        behind: score behind the best candidate's, at most 0, float64[n].
        places: the candidate's place in the order, 0 for the first, int[n].
    """
    out = np.empty((len(ids), len(EXTRA)), dtype=np.float32)
    rate = counters.surface_rate(surface)
    middle = float(logit(rate))
    clicked, seen = counters.fading(ids, CLICK, now), counters.fading(ids, IMPRESSION, now)
    out[:, 0] = behind
    out[:, 1] = np.log1p(places)
    out[:, 2] = logit(counters.rate_of(clicked, seen, rate)) - middle
    out[:, 3] = 0.3 * np.log1p(seen)
    out[:, 4] = float(logit(user_rate(record, counters, rate, now))) - middle
    out[:, 5] = 0.3 * math.log1p(record.counts.get(CLICK, 0)) if record is not None else 0.0
    out[:, 6] = _passed_over(ids, record)
    out[:, 7] = record is None or not record.counts.get(CLICK, 0)
    return np.clip(out, -BOUND, BOUND, out=out)


def _passed_over(ids: Ids, record: UserRecord | None) -> Rows | float:
    """How often the user has lately seen each of some ascending items and left it, in logarithms, float32[n]."""
    if record is None or not record.shown or not len(ids):
        return 0.0
    at, _ = located(ids, np.array(record.shown, dtype=np.int32))
    return np.log1p(np.bincount(at, minlength=len(ids)), dtype=np.float32)


def join(rows: Rows, more: Rows) -> tuple[NDArray[np.float16], int]:
    """The features of some candidates as served, float16[n, F], and how many were missing (given their default, 0).

    Args:
        rows: the ordering head's features; those that are logged are taken.
        more: those :func:`beside` them, float32[n, 8].
    """
    rows = logged(rows)
    out = np.concatenate([rows, more], axis=1)
    of_sources = out[:, : rows.shape[1] - len(OF_ITEM)]
    of_sources += SILENCE
    of_sources *= 0.5
    missing = ~np.isfinite(out)
    absent = int(missing.sum())
    if absent:
        out[missing] = 0.0
    return np.clip(out, -BOUND, BOUND, out=out).astype(np.float16), absent


def product(rows: Rows, more: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """``join(rows, more) @ weights`` without making that table, nor rounding it, float64[n].

    >>> rows, more = np.zeros((1, 10), dtype=np.float32), np.ones((1, 8), dtype=np.float32)
    >>> float(product(rows, more, np.ones(17)).round(5)[0])
    10.3
    """
    rows = logged(rows)
    width = rows.shape[1]
    of_rows = weights[:width].astype(np.float32)
    of_sources = of_rows[: width - len(OF_ITEM)]
    of_sources *= 0.5
    constant = SILENCE * float(of_sources.sum())
    out = rows @ of_rows + more @ weights[width:].astype(np.float32)
    return out.astype(np.float64) + constant


def user_rate(record: UserRecord | None, counters: ItemCounters, rate: float, now: int) -> float:
    """A user's decayed clicks per impression, drawn towards ``rate`` where little was seen."""
    seen = clicks = 0.0
    for mark, (impressions, clicked) in (record.windows if record is not None else {}).items():
        factor = scale(mark, now, counters.half_life_ms)
        seen, clicks = seen + impressions * factor, clicks + clicked * factor
    return (clicks + PRIOR_OF_USER * rate) / (max(seen, clicks) + PRIOR_OF_USER)


def logit(p: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds, kept finite.

    >>> float(logit(0.5))
    0.0
    """
    inside = np.minimum(np.maximum(p, 1e-6), 1.0 - 1e-6)
    out: NDArray[np.float64] = np.log(inside / (1.0 - inside))
    return out
