"""Quality as it is measured on the stream: predicted first, learnt after (prequential), over a sliding window.

Ranking metrics take the rank of the one relevant item, 0 for the top; River has none of these.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from river import metrics

_EPS = 1e-12


def rank_of(scores: NDArray[np.floating], target: int) -> float:
    """The rank of ``scores[target]``, 0 for the top: the number of greater scores plus half the ties.

    >>> rank_of(np.array([0.9, 0.5, 0.5, 0.1]), 1)
    1.5
    """
    value = scores[target]
    return float((scores > value).sum() + ((scores == value).sum() - 1) / 2)


def recall_at(rank: float | None, k: int) -> float:
    """1 if the relevant item is among the first ``k``, else 0; ``None`` is an item not retrieved.

    >>> recall_at(9.5, 10), recall_at(10, 10), recall_at(None, 10)
    (1.0, 0.0, 0.0)
    """
    return float(rank is not None and rank < k)


def ndcg_at(rank: float | None, k: int) -> float:
    """Discounted gain of the relevant item, ``1 / log2(rank + 2)`` within the first ``k`` (Jarvelin, 2002).

    >>> ndcg_at(0, 10), ndcg_at(2, 10), ndcg_at(10, 10)
    (1.0, 0.5, 0.0)
    """
    return 1.0 / math.log2(rank + 2.0) if rank is not None and rank < k else 0.0


def reciprocal_rank(rank: float | None, k: int | None = None) -> float:
    """``1 / (rank + 1)``, within the first ``k`` if that is given.

    >>> reciprocal_rank(0), reciprocal_rank(3), reciprocal_rank(20, k=20), reciprocal_rank(None)
    (1.0, 0.25, 0.0, 0.0)
    """
    return 0.0 if rank is None or (k is not None and rank >= k) else 1.0 / (rank + 1.0)


def log_loss(clicked: bool, probability: float) -> float:
    """Negative log of what the truth was given; a probability is kept off 0 and 1 by 1e-12.

    >>> round(log_loss(True, 0.5), 3)
    0.693
    """
    p = min(max(probability, _EPS), 1 - _EPS)
    return -math.log(p if clicked else 1 - p)


@dataclass(frozen=True, slots=True)
class Quality:
    """What a window holds; a value that cannot be told yet is ``None``."""

    n: int
    click_rate: float
    predicted: float  # mean probability; over click_rate it is the calibration
    log_loss: float
    normalised_entropy: float | None  # log-loss over that of the window's own click rate; below 1 is skill
    auc: float | None


class ClickQuality:
    """Log-loss, normalised entropy, AUC and calibration of click probabilities over the last ``window`` examples.

    The area under the curve is River's ``RollingROCAUC``; normalised entropy is that of He et al. (ADKDD 2014).

    Args:
        window: examples, at least 2.

    >>> quality = ClickQuality(window=100)
    >>> for k in range(100):
    ...     quality.update(k % 4 == 0, 0.7 if k % 4 == 0 else 0.1)
    >>> seen = quality.get()
    >>> seen.n, seen.click_rate, round(seen.predicted, 2), seen.auc, round(seen.normalised_entropy, 2)
    (100, 0.25, 0.25, 1.0, 0.3)
    """

    def __init__(self, window: int = 10_000) -> None:
        if window < 2:
            raise ValueError(f"window must be at least 2 examples, not {window}")
        self.window = window
        self._rows: deque[tuple[bool, float, float]] = deque()
        self._auc = metrics.RollingROCAUC(window_size=window)
        self._clicks = 0
        self._predicted = self._loss = 0.0
        self.refused = 0

    def update(self, clicked: bool, probability: float) -> None:
        """Note one outcome with the probability served before it; one outside 0..1 is refused and counted."""
        if not 0.0 <= probability <= 1.0:
            self.refused += 1
            return
        row = (clicked, probability, log_loss(clicked, probability))
        self._rows.append(row)
        self._count(row, 1)
        if len(self._rows) > self.window:
            self._count(self._rows.popleft(), -1)
        self._auc.update(clicked, probability)

    def get(self) -> Quality:
        """The quality of the window."""
        n = len(self._rows)
        if not n:
            return Quality(0, 0.0, 0.0, 0.0, None, None)
        rate, loss = self._clicks / n, max(self._loss, 0.0) / n
        mixed = 0 < self._clicks < n
        baseline = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)) if mixed else 0.0
        return Quality(
            n=n,
            click_rate=rate,
            predicted=max(self._predicted, 0.0) / n,
            log_loss=loss,
            normalised_entropy=loss / baseline if mixed else None,
            auc=float(self._auc.get()) if mixed else None,
        )

    def _count(self, row: tuple[bool, float, float], sign: int) -> None:
        clicked, probability, loss = row
        self._clicks += sign * clicked
        self._predicted += sign * probability
        self._loss += sign * loss


@dataclass(frozen=True, slots=True)
class RankingQualityAt:
    """What a window of ranks holds."""

    n: int
    recall: float
    ndcg: float
    mrr: float


class RankingQuality:
    """Recall, NDCG and MRR at ``k`` over the last ``window`` ranks, and over all of them.

    Args:
        k: the length of the list judged, at least 1.
        window: ranks, at least 1.

    >>> quality = RankingQuality(k=10, window=2)
    >>> for rank in (0, 3, None):
    ...     quality.update(rank)
    >>> quality.get().recall, quality.get().mrr, round(quality.overall().recall, 2)
    (0.5, 0.125, 0.67)
    """

    def __init__(self, k: int = 10, window: int = 10_000) -> None:
        if k < 1 or window < 1:
            raise ValueError(f"k and window must be at least 1, not {k} and {window}")
        self.k, self.window = k, window
        self._rows: deque[tuple[float, float, float]] = deque(maxlen=window)
        self._sums = [0.0, 0.0, 0.0]
        self._n = 0

    def update(self, rank: float | None) -> None:
        """Note the rank of the item that was chosen, 0 for the top; ``None`` if it was not retrieved."""
        row = (recall_at(rank, self.k), ndcg_at(rank, self.k), reciprocal_rank(rank, self.k))
        self._rows.append(row)
        self._n += 1
        for column, value in enumerate(row):
            self._sums[column] += value

    def get(self) -> RankingQualityAt:
        """The quality of the window."""
        n = max(len(self._rows), 1)
        columns = [math.fsum(row[c] for row in self._rows) / n for c in range(3)]
        return RankingQualityAt(len(self._rows), *columns)

    def overall(self) -> RankingQualityAt:
        """The quality since the beginning."""
        return RankingQualityAt(self._n, *(total / max(self._n, 1) for total in self._sums))
