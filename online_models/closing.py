"""Labels in the order their impressions close: what keeps a young click head from seeing clicks alone.

A click is a label at once, its neighbours without a click only when the window closes. A head that learnt each as it
comes would know nothing but clicks for the first window of a deployment, and again after each pause or burst; its
probabilities would rise to 1 and fall again. Clicks are therefore held until a negative served no earlier comes by.
What a user did shapes the next slate at once all the same: sources and order do not wait for labels.
"""

from __future__ import annotations

import heapq

from online_models.labels import Kind, Labelled


class ClosingOrder:
    """Holds clicks (or another action, one order each) back until the negatives of their time have come.

    Args:
        most: clicks held, at least 1; beyond it the oldest goes on.

    >>> import numpy as np
    >>> row, order = np.zeros(1, dtype=np.float32), ClosingOrder()
    >>> order.take(Labelled(1, Kind.POSITIVE, row, "s", 0, "home", 0.1, 1.0, ts=1_000))
    []
    >>> [x.item for x in order.take(Labelled(2, Kind.NEGATIVE, row, "s", 1, "home", 0.1, 1.0, ts=2_000))]
    [1, 2]
    """

    def __init__(self, most: int = 20_000) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")
        self.most = most
        self._clicks: list[tuple[int, int, Labelled]] = []  # a heap: when served, arrival
        self._arrivals = 0

    def __len__(self) -> int:
        """Clicks held."""
        return len(self._clicks)

    def take(self, label: Labelled) -> list[Labelled]:
        """Take a label in; returns those that are now to be learnt, in order.

        The correction of a negative goes on at once: that negative was learnt before.
        """
        if label.kind is Kind.CORRECTION:
            return [label]
        if label.kind is Kind.POSITIVE:
            self._arrivals += 1
            heapq.heappush(self._clicks, (_served(label), self._arrivals, label))
            return [heapq.heappop(self._clicks)[2]] if len(self._clicks) > self.most else []
        ready = []
        while self._clicks and self._clicks[0][0] <= _served(label):
            ready.append(heapq.heappop(self._clicks)[2])
        return [*ready, label]


def _served(label: Labelled) -> int:
    return label.served or label.ts
