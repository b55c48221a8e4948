"""Items acted on by the same users, near each other: cosine of decayed co-visits, as pruned lists.

An action adds one co-visit with each of the user's last ``span`` items, both ways (or, directed, from the earlier to
the later with weight 1 / distance). Weights fade with a half-life counted in interactions, so that a busy and a quiet
deployment forget alike; forward decay makes that a growing increment and no sweep. The score of an item for a history
is the sum over the history's last items of ``fade ** age * w / sqrt((n_a + shrink) (n_b + shrink))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.scratch import Scratch, best
from online_models.toplists import FREE, TopLists

_RESCALE = 2.0**200


class Covisits:
    """The lists that several views score with.

    Args:
        span: how many earlier items an action pairs with, 1 to 50.
        width: neighbours kept per item.
        half_life: in interactions, above 0.
        shrink: pseudo-visits that keep rare items from certainty, at least 0.
        directed: whether only what comes after is a neighbour.

    >>> lists = Covisits(span=5, width=10)
    >>> lists.learn_one(Interaction(user=1, item=7, ts=2, recent=(3,), recent_ts=(1,)))
    >>> view = View("last1", lists, last=1, fade=1.0)
    >>> view.retrieve(Query(2, (3,), (5,), now=6), 5)[0].tolist()
    [7]
    """

    def __init__(
        self,
        *,
        span: int = 20,
        width: int = 200,
        half_life: float = 10_000.0,
        shrink: float = 20.0,
        directed: bool = False,
    ) -> None:
        if not 1 <= span <= 50 or half_life <= 0 or shrink < 0:
            raise ValueError("span must be 1 to 50, half_life above 0, shrink at least 0")
        self.span, self.shrink, self.directed = span, shrink, directed
        self.growth = 2.0 ** (1.0 / half_life)
        self.lists = TopLists(width)
        self.visits = np.zeros(256)
        self.unit = 1.0  # what one co-visit weighs now
        self.scratch = Scratch()

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        self._tick()
        self._room(max((x.item, *x.recent)))
        self.visits[x.item] += self.unit
        earlier = [r for r in dict.fromkeys(x.recent[: self.span]) if r != x.item]
        if not earlier:
            return
        others = np.array(earlier, dtype=np.int64)
        here = np.full(len(others), x.item, dtype=np.int64)
        if self.directed:
            distance = np.array([x.recent.index(r) + 1 for r in earlier], dtype=np.float64)
            self.lists.add(others, here, self.unit / distance)
        else:
            weights = np.full(len(others), self.unit)
            self.lists.add(others, here, weights)
            self.lists.add(here, others, weights)

    def _tick(self) -> None:
        self.unit *= self.growth
        if self.unit > _RESCALE:  # once in hundreds of half-lives
            self.lists.scale(1.0 / self.unit)
            self.visits /= self.unit
            self.unit = 1.0

    def _room(self, item: int) -> None:
        self.lists.room(item)
        if item >= len(self.visits):
            more = max(2 * len(self.visits), item + 1) - len(self.visits)
            self.visits = np.concatenate([self.visits, np.zeros(more)])

    def neighbours(self, items: Ids) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Neighbours of several items with their cosines, [n, width] each; free places hold -1 and 0."""
        ids, weights = self.lists.rows(items)
        used = np.where(ids == FREE, 0, ids)
        shrink = self.shrink * self.unit
        scale = np.sqrt((self.visits[items] + shrink)[:, None] * (self.visits[used] + shrink))
        return ids, np.where(ids == FREE, 0.0, weights / np.maximum(scale, 1e-300))

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        self.lists.drop(item)

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        lists = {f"lists_{name}": array for name, array in self.lists.arrays().items()}
        return {**lists, "visits": self.visits.copy(), "unit": np.array([self.unit])}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.lists.load({"ids": arrays["lists_ids"], "weights": arrays["lists_weights"]})
        self.visits, self.unit = arrays["visits"].copy(), float(arrays["unit"][0])


@dataclass(slots=True)
class View:
    """A source: the lists scored with a history's last items, each ``fade`` times the one after it."""

    name: str
    lists: Covisits
    last: int
    fade: float

    def learn_one(self, x: Interaction) -> None:
        """Nothing: the lists are shared and learn once."""

    def retrieve(self, query: Query, n: int) -> tuple[Ids, Scores]:
        """At most ``n`` items, best first."""
        known = len(self.lists.visits)
        items = [(i, self.fade**age) for age, i in enumerate(query.recent[: self.last]) if i < known]
        if not items:
            return best(np.zeros(0, dtype=np.int32), np.zeros(0), n)
        ids, scores = self.lists.neighbours(np.array([i for i, _ in items], dtype=np.int32))
        scores = scores * np.array([w for _, w in items])[:, None]
        held = ids != FREE
        return best(*self.lists.scratch.sum(ids[held], scores[held]), n)

    def arrays(self) -> Arrays:
        """Nothing of its own."""
        return {}

    def load(self, arrays: Arrays) -> None:
        """Nothing of its own."""
