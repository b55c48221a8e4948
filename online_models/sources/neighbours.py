"""Users with a history like this one vote for what they acted on, and for what stood near the same items.

``user_knn``: the 50 users of greatest cosine between their items and the last 50 of this history vote for all they
hold (Sarwar et al., 2000). ``vsk``: users who hold one of the last ten items vote for what stood within twenty places
of it, by ``cosine * exp(-(distance - 1) / 8) * 0.85 ** recency`` (after V-SKNN: Ludewig and Jannach, 2018).
``vsk_after`` counts only what came after it, ``vsk_near`` only what stood close to one of the last three.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from online_models.base import RECENT, Arrays, Ids, Interaction, Query
from online_models.kernels import gather
from online_models.kernels import neighbours as kernel
from online_models.sources.family import NOBODY, Matrix, Places
from online_models.tables import taller

_START = 256
_NONE = -1
_NOBODY = 0  # row 0 is nobody's and empty, and so are rows of zeros
Votes = NDArray[np.float32]
Number = TypeVar("Number", np.int32, np.int64, np.float32)


class Neighbours:
    """Bounded histories of users and, for each item, its latest holders.

    Histories are rings whose places ahead are kept empty, so that a window around any held place needs no bounds
    checks. A holder is verified against the ring before it is used, so a forgotten user never votes.

    Args:
        users: kept, the one silent for longest is forgotten first.
        history: items kept per user, a power of two above twice the window.
        holders: latest holders kept per item.
        nearest: users that vote for all they hold.
        last: items of the query's history that are compared.
        anchors: items of the query's history whose surroundings are voted for, ``window`` places each way.
        voters: holdings whose surroundings are voted for, those of greatest weight.

    >>> from online_models.sources.family import scores
    >>> neighbours = Neighbours(users=10, history=64, holders=4)
    >>> for item in (3, 4, 5):
    ...     neighbours.learn_one(Interaction(user=1, item=item, ts=0))
    >>> touch = neighbours.touch(Query(2, (4,), (0,), now=1))
    >>> union = np.array([3, 5], dtype=np.int32)
    >>> at = np.array([{3: 0, 5: 1}.get(i, 2) for i in touch.ids.tolist()])
    >>> scores(neighbours, touch, at, union)[2] > 0  # after 4 came 5
    array([False,  True])
    """

    names = ("user_knn", "vsk", "vsk_after", "vsk_near")

    def __init__(
        self,
        *,
        users: int = 50_000,
        history: int = 128,
        holders: int = 128,
        nearest: int = 50,
        last: int = 50,
        anchors: int = 10,
        window: int = 20,
        voters: int = 300,
    ) -> None:
        if min(users, holders, nearest, last, anchors, window, voters) < 1:
            raise ValueError("users, holders, nearest, last, anchors, window and voters must be at least 1")
        if anchors > RECENT:
            raise ValueError(f"anchors must be at most {RECENT}, not {anchors}")
        if history & (history - 1) or history <= 2 * window:
            raise ValueError(f"history must be a power of two above {2 * window}, not {history}")
        self.users, self.history, self.holders = users, history, holders
        self.nearest, self.last, self.anchors = nearest, last, anchors
        self.window, self.voters = window, voters
        away = np.abs(np.array([d for d in range(-window, window + 1) if d])) - 1
        self._wide = np.exp(-away / 8.0).astype(np.float32)
        self._narrow = np.where(away < 10, np.exp(-away / 4.0), 0.0).astype(np.float32)
        self._rows: OrderedDict[int, int] = OrderedDict()  # user -> row, the longest silent first
        self._recycled = False
        self._items = np.full((_START, history), _NONE, dtype=np.int32)
        self._length = np.zeros(
            _START, dtype=np.int32
        )  # all actions ever, and a history's length for each earlier user of the row
        self._distinct = np.zeros(_START, dtype=np.float32)
        self._shared = np.zeros(_START, dtype=np.int32)  # working memory by row, zero between calls
        self._cosine = np.zeros(_START, dtype=np.float32)
        self._who = np.full((_START, holders), _NOBODY, dtype=np.int32)
        self._where = np.zeros((_START, holders), dtype=np.int32)
        self._held = np.zeros(_START, dtype=np.int64)
        self._sums = np.zeros((_START, 4))  # working memory by item, zero between calls

    # ------------------------------------------------------------------ learning

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        row = self._row(x.user)
        self._room(x.item)
        kernel.hold(
            row, x.item, self.window, self._items, self._length, self._distinct, self._who, self._where,
            self._held,
        )  # fmt: skip

    def _row(self, user: int) -> int:
        row = self._rows.get(user)
        if row is not None:
            self._rows.move_to_end(user)
            return row
        if len(self._rows) < self.users:
            row = len(self._rows) + 1
            if row >= len(self._length):
                more = min(self.users + 1, 2 * row) - row
                self._items = _more(self._items, more, _NONE)
                self._length, self._distinct = _more(self._length, more), _more(self._distinct, more)
                self._shared, self._cosine = _more(self._shared, more), _more(self._cosine, more)
        else:
            _, row = self._rows.popitem(last=False)
            self._items[row], self._distinct[row] = _NONE, 0.0
            self._length[row] += self.history  # what was held at earlier places is held no more
            self._recycled = True
        self._rows[user] = row
        return row

    def _room(self, item: int) -> None:
        size = len(self._held)
        if item >= size:
            more = max(2 * size, item + 1) - size
            held = np.flatnonzero(self._held)
            self._who, self._where = taller(self._who, more, held), taller(self._where, more, held)
            self._held = _more(self._held, more)
            self._sums = np.zeros((len(self._held), 4))

    # ------------------------------------------------------------------ answering

    def touch(self, query: Query) -> NeighbourTouch:
        """What similar users hold."""
        known = len(self._held)
        mine = np.array([i for i in dict.fromkeys(query.recent[: self.last]) if i < known], dtype=np.intp)
        if not len(mine) or not self._rows:
            return NeighbourTouch(NOBODY, _NOTHING)
        own = self._rows.get(query.user, -1)
        rows, alike = kernel.alike(
            mine, self._who, self._where, self._items, self._length, self._distinct, own, self._recycled,
            self._shared, self._cosine,
        )  # fmt: skip
        who, where, wide, close = self._voters(mine[: self.anchors])
        self._cosine[rows] = 0.0
        if len(rows) > self.nearest:
            top = alike.argpartition(len(alike) - self.nearest)[-self.nearest :]
            rows, alike = rows[top], alike[top]
        ids, said = kernel.polled(
            rows, alike, who, where, wide, close, self._wide, self._narrow, self._items, self._length,
            self._sums,
        )  # fmt: skip
        return NeighbourTouch(ids, said)

    def _voters(self, anchors: Places) -> tuple[Ids, Ids, Votes, Votes]:
        """Who is asked what stands around the anchors, where, and how much each counts, widely and closely."""
        who, where, wide, close = kernel.holdings(
            anchors, self._who, self._where, self._items, self._length, self._cosine, _RECENCY, _CLOSE
        )
        if len(wide) > self.voters:
            top = wide.argpartition(len(wide) - self.voters)[-self.voters :]
            who, where, wide, close = who[top], where[top], wide[top], close[top]
        return who, where, wide, close

    def drop(self, item: int) -> None:
        """Forget who held a retired item."""
        if item < len(self._held):
            self._who[item] = _NOBODY
            self._held[item] = 0

    # ------------------------------------------------------------------ snapshots

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        n = len(self._rows)
        return {
            "users": np.fromiter(self._rows, dtype=np.uint64, count=n),
            "rows": np.fromiter(self._rows.values(), dtype=np.int64, count=n),
            "items": self._items.copy(), "length": self._length.copy(), "distinct": self._distinct.copy(),
            "who": self._who.copy(), "where": self._where.copy(), "held": self._held.copy(),
            "recycled": np.array([self._recycled]),
        }  # fmt: skip

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave.

        Raises:
            ValueError: the arrays have other lengths of history or numbers of holders, or more users.
        """
        users = arrays["users"].tolist()
        shapes = arrays["items"].shape[1], arrays["who"].shape[1]
        if shapes != (self.history, self.holders) or len(users) > self.users:
            raise ValueError(
                f"neighbours of {shapes} and {len(users)} users do not fit this build's settings"
            )
        self._rows = OrderedDict(zip(users, arrays["rows"].tolist(), strict=True))
        self._items, self._length = arrays["items"].copy(), arrays["length"].copy()
        self._distinct, self._who = arrays["distinct"].copy(), arrays["who"].copy()
        self._where, self._held = arrays["where"].copy(), arrays["held"].copy()
        self._recycled = bool(arrays["recycled"][0])
        self._shared = np.zeros(len(self._length), dtype=np.int32)
        self._cosine = np.zeros(len(self._length), dtype=np.float32)
        self._sums = np.zeros((len(self._held), 4))


_NOTHING = np.zeros((4, 0), dtype=np.float32)
_RECENCY = (0.85 ** np.arange(RECENT)).astype(np.float32)
_CLOSE = np.where(np.arange(RECENT) < 3, 0.7 ** np.arange(RECENT), 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class NeighbourTouch:
    """Items that similar users hold, and what each source says of them."""

    ids: Ids
    said: Votes  # float32[4, len(ids)]

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        gather.put(at, self.said, out)


def _more(array: NDArray[Number], rows: int, fill: int = 0) -> NDArray[Number]:
    """The array with more rows below it."""
    return np.concatenate([array, np.full((rows, *array.shape[1:]), fill, dtype=array.dtype)])
