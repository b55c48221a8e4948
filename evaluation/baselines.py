"""What a stream recommender has to beat: popularity, incremental factorisation, item-item, EASE refitted in batches.

All rank every item seen so far, from dense arrays: right for a comparison on public data, not for production.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.protocol import NOT_HELD, Arm
from online_models.base import Ids, Interaction, Query
from online_models.metrics import rank_of

Dense = NDArray[np.float64]


class DenseArm:
    """Scores all items seen; a baseline says how by ``scores`` and ``update``."""

    def __init__(self) -> None:
        self.counts = np.zeros(1_024)

    def scores(self, query: Query) -> Dense:
        """Scores of all items, float64[len(counts)]."""
        return self.counts

    def update(self, x: Interaction) -> None:
        """Learn from an event; ``counts`` holds it already."""

    def grow(self, items: int) -> None:
        """Make room for items."""

    def rank(self, query: Query, target: int, exclude: Ids) -> float:
        """See :class:`evaluation.protocol.Arm`."""
        scores = np.where(self.counts > 0, self.scores(query), -np.inf)
        scores[exclude] = -np.inf
        return rank_of(scores, target) if np.isfinite(scores[target]) else NOT_HELD

    def learn(self, x: Interaction) -> None:
        """See :class:`evaluation.protocol.Arm`."""
        if x.item >= len(self.counts):
            more = max(2 * len(self.counts), x.item + 1)
            self.counts = np.concatenate([self.counts, np.zeros(more - len(self.counts))])
            self.grow(more)
        self.counts[x.item] += 1.0
        self.update(x)


class PopularityArm(DenseArm):
    """How often an item was acted on, ever."""


class IsgdArm(DenseArm):
    """Incremental matrix factorisation by SGD on positives alone (Vinagre, Jorge and Gama, 2014).

    Args:
        dims, rate, l2: of the factors; steps: per event; seed: of the start.
    """

    def __init__(
        self, *, dims: int = 32, rate: float = 0.05, l2: float = 0.01, steps: int = 2, seed: int = 0
    ) -> None:
        super().__init__()
        self._rng = np.random.default_rng(seed)
        self.dims, self.rate, self.l2, self.steps = dims, rate, l2, steps
        self._items = self._rng.normal(0.0, 0.1, (len(self.counts), dims))
        self._users: dict[int, Dense] = {}

    def grow(self, items: int) -> None:
        """Make room for items."""
        more = self._rng.normal(0.0, 0.1, (items - len(self._items), self.dims))
        self._items = np.concatenate([self._items, more])

    def scores(self, query: Query) -> Dense:
        """Minus the distance of the product to 1, as published."""
        user = self._users.get(query.user, np.zeros(self.dims))
        out: Dense = -np.abs(1.0 - self._items @ user)
        return out

    def update(self, x: Interaction) -> None:
        """One or more SGD steps towards a product of 1."""
        user = self._users.setdefault(x.user, self._rng.normal(0.0, 0.1, self.dims))
        item = self._items[x.item]
        for _ in range(self.steps):
            error = 1.0 - float(user @ item)
            user += self.rate * (error * item - self.l2 * user)
            item += self.rate * (error * user - self.l2 * item)


class ItemItemArm(DenseArm):
    """Cosine of co-visits within the last 20 events, scored with the last 5 by 0.8 ** age; nothing is forgotten."""

    def __init__(self, *, last: int = 5, fade: float = 0.8, span: int = 20, shrink: float = 20.0) -> None:
        super().__init__()
        self.last, self.fade, self.span, self.shrink = last, fade, span, shrink
        self._pairs = np.zeros((len(self.counts), len(self.counts)), dtype=np.float32)

    def grow(self, items: int) -> None:
        """Make room for items."""
        wider = np.zeros((items, items), dtype=np.float32)
        wider[: len(self._pairs), : len(self._pairs)] = self._pairs
        self._pairs = wider

    def scores(self, query: Query) -> Dense:
        """Sum of fading cosines with the last items."""
        down = 1.0 / np.sqrt(self.counts + self.shrink)
        out = np.zeros(len(self.counts))
        for age, item in enumerate(query.recent[: self.last]):
            out += self.fade**age * down[item] * self._pairs[item]
        return out * down

    def update(self, x: Interaction) -> None:
        """Pair the item with those before it."""
        earlier = np.array([i for i in dict.fromkeys(x.recent[: self.span]) if i != x.item], dtype=np.intp)
        self._pairs[x.item, earlier] += 1.0
        self._pairs[earlier, x.item] += 1.0


class EaseArm(DenseArm):
    """EASE (Steck, 2019), refitted on everything so far once in ``refit`` events.

    Args:
        refit: events between two fits; l2: of the ridge.
    """

    def __init__(self, *, refit: int = 1_000, l2: float = 100.0) -> None:
        super().__init__()
        if refit < 1 or l2 <= 0:
            raise ValueError("refit must be at least 1, l2 above 0")
        self.refit, self.l2 = refit, l2
        self._held: dict[int, dict[int, None]] = {}
        self._weights: Dense = np.zeros((0, 0))
        self._since = 0

    def scores(self, query: Query) -> Dense:
        """The history's rows of the weights, added up; popularity breaks ties before the first fit."""
        out = self.counts * 1e-9
        known = [i for i in self._held.get(query.user, {}) if i < len(self._weights)]
        if known:
            out[: len(self._weights)] += self._weights[known].sum(axis=0)
        return out

    def update(self, x: Interaction) -> None:
        """Remember, and refit when due."""
        self._held.setdefault(x.user, {})[x.item] = None
        self._since += 1
        if self._since >= self.refit:
            self._fit()
            self._since = 0

    def _fit(self) -> None:
        n = int(np.flatnonzero(self.counts)[-1]) + 1
        matrix = np.zeros((len(self._held), n), dtype=np.float32)
        for row, items in enumerate(self._held.values()):
            matrix[row, list(items)] = 1.0
        gram = (matrix.T @ matrix).astype(np.float64)
        gram[np.diag_indices(n)] += self.l2
        inverse = np.linalg.inv(gram)
        self._weights = inverse / -np.diag(inverse)
        self._weights[np.diag_indices(n)] = 0.0


def baselines(*, seed: int = 0, refit: int = 1_000) -> dict[str, Arm]:
    """All of them, by the name they have in reports."""
    return {
        "popularity": PopularityArm(),
        "isgd": IsgdArm(seed=seed),
        "item_item_last_5": ItemItemArm(),
        f"ease_refitted_every_{refit}": EaseArm(refit=refit),
    }
