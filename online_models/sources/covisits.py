"""Items acted on by the same users, near each other: fading co-visits, read in several ways.

An action pairs with the user's earlier items in four channels: ``near`` (both ways, within the last 20), ``after``
(from the earlier to the later, weight 1 / distance), ``quick`` (the same within the last 5, soon forgotten) and
``close`` (both ways, weight exp(-(distance - 1) / 6)). The score of an item b for a history is, over its last items a,

    sum_a fade ** age(a) * w(a, b) / sqrt((n_a + shrink) (n_b + shrink))

with w and n fading alike (item-based collaborative filtering: Sarwar et al., 2001; decay: Cormode et al., 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import RECENT, Arrays, Ids, Interaction, Query
from online_models.kernels import covisits as kernel
from online_models.sources.family import NOBODY, Matrix, Places
from online_models.toplists import TopLists


@dataclass(frozen=True, slots=True)
class Channel:
    """One weight of a pair.

    Attributes:
        span: how many of a user's earlier items an action pairs with, 1 to 50.
        half_life: in interactions.
        directed: only from the earlier to the later, by 1 / distance.
        close: by exp(-(distance - 1) / 6).
        shrink: pseudo-visits that keep rare items from certainty.
    """

    span: int
    half_life: float
    directed: bool
    shrink: float
    close: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.span <= RECENT or self.half_life <= 0 or self.shrink <= 0:
            raise ValueError(f"span must be 1 to {RECENT}, half_life and shrink above 0, not {self}")


@dataclass(frozen=True, slots=True)
class View:
    """A source: a channel scored with a history's ``last`` items, each ``fade`` times the one after it."""

    name: str
    channel: int
    last: int
    fade: float


NEAR, AFTER, QUICK, CLOSE = range(4)
CHANNELS = (
    Channel(span=20, half_life=10_000.0, directed=False, shrink=20.0),
    Channel(span=20, half_life=10_000.0, directed=True, shrink=5.0),
    Channel(span=5, half_life=1_500.0, directed=True, shrink=2.0),
    Channel(span=20, half_life=10_000.0, directed=False, shrink=5.0, close=True),
)
VIEWS = (
    View("covisits_20", NEAR, 20, 0.9),
    View("covisits_5", NEAR, 5, 0.8),
    View("covisits_1", NEAR, 1, 1.0),
    View("after_5", AFTER, 5, 0.7),
    View("after_1", AFTER, 1, 1.0),
    View("quick", QUICK, 3, 0.6),
    View("close_10", CLOSE, 10, 0.85),
)


def _shares(channels: Sequence[Channel]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each channel adds, by distance, from the earlier to the later item and the other way: [distance, channel].

    >>> onward, back = _shares([Channel(span=2, half_life=1.0, directed=True, shrink=1.0)])
    >>> onward[1:4, 0].tolist(), back[1:4, 0].tolist()
    ([1.0, 0.5, 0.0], [0.0, 0.0, 0.0])
    """
    distance = np.maximum(np.arange(RECENT + 1.0), 1.0)[:, None]
    reached = (distance <= np.array([c.span for c in channels])).astype(np.float64)
    close, directed = np.array([c.close for c in channels]), np.array([c.directed for c in channels])
    reached = np.where(close, reached * np.exp((1.0 - distance) / 6.0), reached)
    return np.where(directed, reached / distance, reached), np.where(directed, 0.0, reached)


class Covisits:
    """Pruned lists of co-visits and the sources that read them.

    Args:
        width: neighbours kept per item, at least 1.

    >>> covisits = Covisits(width=10)
    >>> covisits.learn_one(Interaction(user=1, item=7, ts=2, recent=(3,), recent_ts=(1,)))
    >>> touch = covisits.touch(Query(2, (3,), (5,), now=6))
    >>> [int(i) for i in touch.ids if i >= 0]
    [7]
    """

    def __init__(
        self, *, width: int = 200, channels: Sequence[Channel] = CHANNELS, views: Sequence[View] = VIEWS
    ) -> None:
        self.lists = TopLists(width, [c.half_life for c in channels])
        self.views = tuple(views)
        self.names = tuple(v.name for v in views)
        self._reach = max(v.last for v in views)
        self._fades = np.array([v.fade ** np.arange(self._reach) for v in views], dtype=np.float32)
        self._channels = np.array([v.channel for v in views], dtype=np.intp)
        self._lasts = np.array([v.last for v in views], dtype=np.intp)
        self._onward, self._back = _shares(channels)
        self._shrink = np.array([c.shrink for c in channels])
        self._span = max(c.span for c in channels)

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        self.lists.visit(x.item, x.weight)
        distance: dict[int, int] = {}
        for k, item in enumerate(x.recent[: self._span], start=1):
            if not x.voted >> (k - 1) & 1:
                distance.setdefault(item, k)
        distance.pop(x.item, None)
        if not distance:
            return
        others = np.fromiter(distance, dtype=np.intp, count=len(distance))
        self.lists.room(int(others.max()))
        places = np.fromiter(distance.values(), dtype=np.intp, count=len(distance))
        unit = x.weight * self.lists.unit
        onward = (self._onward[places] * unit).astype(np.float32)
        self.lists.link(x.item, others, onward, (self._back[places] * unit).astype(np.float32))

    def touch(self, query: Query) -> CovisitTouch:
        """The lists of a history's last items."""
        known = len(self.lists)
        rows = np.array([i for i in query.recent[: self._reach] if i < known], dtype=np.intp)
        if not len(rows):
            return CovisitTouch(self, rows, NOBODY)
        return CovisitTouch(self, rows, self.lists.neighbours(rows))

    def score(self, rows: Places, at: Places, union: Ids, out: Matrix) -> None:
        """Scores of all views; see :class:`online_models.sources.family.Touch`."""
        lists = self.lists
        kernel.view_scores(
            rows, at, union, lists.used, lists.weights, lists.visits, self._shrink * lists.unit,
            self._fades, self._channels, self._lasts, out,
        )  # fmt: skip

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        self.lists.drop(item)

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        return self.lists.arrays()

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.lists.load(arrays)


@dataclass(frozen=True, slots=True)
class CovisitTouch:
    """The lists of some items, as one flat array of neighbours."""

    family: Covisits
    rows: Places
    ids: Ids

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        self.family.score(self.rows, at, union, out)
