"""What the click head reads of a candidate: the ordering head's features, its verdict, and how often the item,
the surface and the user are clicked. Named and computed here alone, for learning and for serving alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.counters import CLICK, IMPRESSION, ItemCounters
from online_models.decay import scale
from online_models.features import BOUND, OF_ITEM, FeatureSchema, Rows
from online_models.history import UserRecord

EXTRA = (
    "order.behind_best",
    "order.place",
    "item.click_rate",
    "item.seen",
    "user.click_rate",
    "user.actions",
)
PRIOR_OF_USER = 20.0
SILENCE = 4.6
"""What a source's score is below its best when it has nothing to say; here that reads 0, so that it moves nothing."""


@dataclass(frozen=True, slots=True)
class ClickSchema:
    """Names of the click head's features, in order, and a version that changes when they do."""

    names: tuple[str, ...]
    version: str

    @classmethod
    def of(cls, ordering: FeatureSchema) -> ClickSchema:
        """The schema above an ordering head's.

        >>> ClickSchema.of(FeatureSchema.of(["popular"])).names[-1]
        'user.actions'
        """
        names = (*ordering.names, *EXTRA)
        return cls(names, "c2-" + blake2b("|".join(names).encode(), digest_size=6).hexdigest())


def compute(
    rows: Rows,
    ids: Ids,
    scores: NDArray[np.float64],
    places: NDArray[np.int_],
    counters: ItemCounters,
    record: UserRecord | None,
    *,
    surface: str,
    now: int,
) -> tuple[NDArray[np.float16], int]:
    """The features of some candidates as served, and how many values were missing (given their default, 0).

    Args:
        rows: the ordering head's features, float32[n, F].
        scores: behind the best candidate's, at most 0, float64[n].
        places: the candidate's place in the order, 0 for the first, int[n].
    """
    out = np.empty((len(ids), rows.shape[1] + len(EXTRA)), dtype=np.float32)
    width = rows.shape[1]
    out[:, :width] = rows
    of_sources = out[:, : width - len(OF_ITEM)]
    of_sources += SILENCE
    of_sources *= 0.5
    out[:, width] = scores
    out[:, width + 1] = np.log1p(places)
    rate = counters.surface_rate(surface)
    out[:, width + 2] = logit(counters.click_rate(ids, now, surface)) - logit(rate)
    out[:, width + 3] = 0.3 * np.log1p(counters.fading(ids, IMPRESSION, now))
    out[:, width + 4] = logit(user_rate(record, counters, rate, now)) - logit(rate)
    out[:, width + 5] = 0.3 * np.log1p(record.counts.get(CLICK, 0)) if record is not None else 0.0
    missing = ~np.isfinite(out)
    absent = int(missing.sum())
    if absent:
        out[missing] = 0.0
    return np.clip(out, -BOUND, BOUND, out=out).astype(np.float16), absent


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
    inside = np.clip(p, 1e-6, 1.0 - 1e-6)
    out: NDArray[np.float64] = np.log(inside / (1.0 - inside))
    return out
