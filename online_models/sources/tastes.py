"""What a user likes, as weights of tags learnt anew from what the user lately did and passed over.

Where nobody has acted yet there are no co-visits to go by; tags speak from the first slate on. With a row of tags for
each of the user's latest actions (``y = 1``, fading) and each slot passed over (``y = -usual_rate``),

    w = (X' D X + ridge I)^-1 X' D y,    score(item) = exp(sharpness * x . w)

so that of two tags that come together the one that is passed over when alone gets no credit (ridge regression per user,
as in LinUCB: Li et al., 2010). An item seen and passed over lately scores less each time. Every item a request looks
at is scored, and one without tags counts as neither liked nor disliked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.kernels import gather
from online_models.scratch import Uniter, best
from online_models.sources.family import NOBODY, Matrix, Places

_START = 256


class Tastes:
    """Items by how well their tags fit what a user acted on.

    Args:
        fade: weight of each earlier action against the next, in (0, 1].
        ridge: draws weights to 0, in actions, above 0.
        usual_rate: actions expected of a slot seen, in (0, 1).
        sharpness: how many times likelier an action is, in logarithms, on a tag that was always acted on, above 0.
        tired: how much less an item scores for each time it was passed over, at least 0.
        known: tags of one user that are told apart, the most frequent, at least 1.
        tags_of_item: tags kept per item, at least 1.
        width: newest items kept per tag, at least 1.
        asked: tags of a profile that propose items, the strongest, at least 1.
        proposed: items proposed to a request, at least 1.
        tags_max: distinct tags known; items' further ones are passed over, at least 1.

    >>> tastes = Tastes()
    >>> tastes.note(1, tags=("jazz",))
    >>> tastes.note(2, tags=("jazz", "live"))
    >>> tastes.note(3, tags=("news",))
    >>> tastes.touch(Query(0, (1,), (0,), now=1)).ids.tolist()
    [2, 3]
    """

    names = ("tastes",)

    def __init__(
        self,
        *,
        fade: float = 0.95,
        ridge: float = 0.5,
        usual_rate: float = 0.05,
        sharpness: float = 4.0,
        tired: float = 0.3,
        known: int = 32,
        tags_of_item: int = 8,
        width: int = 200,
        asked: int = 6,
        proposed: int = 100,
        tags_max: int = 100_000,
    ) -> None:
        if not 0 < fade <= 1:
            raise ValueError(f"fade must be in (0, 1], not {fade}")
        if not (ridge > 0 and sharpness > 0 and 0 < usual_rate < 1 and tired >= 0):
            raise ValueError("ridge, sharpness must be above 0, usual_rate in (0, 1), tired at least 0")
        if min(tags_of_item, width, asked, proposed, tags_max, known) < 1:
            raise ValueError("tags_of_item, width, asked, proposed, tags_max and known must be at least 1")
        self.fade, self.width, self.asked, self.proposed = fade, width, asked, proposed
        self.tags_max = tags_max
        self.ridge, self.usual_rate, self.sharpness, self.tired = ridge, usual_rate, sharpness, tired
        self.known = known
        self._numbers: dict[str, int] = {}
        self._items: list[dict[int, None]] = []  # by tag, the newest last
        self._lists: dict[int, Ids] = {}  # the same as arrays, for tags asked about since they changed
        self._uniter = Uniter()
        self._tags = np.full((_START, tags_of_item), -1, dtype=np.int32)  # by item
        self._scale = np.zeros(_START, dtype=np.float32)  # one over the number of tags; 0 for none
        self._tagged = 0

    # ------------------------------------------------------------------ the catalogue

    def note(self, item: int, *, tags: Iterable[str]) -> None:
        """Take a catalogue entry over."""
        self.drop(item)
        numbers = [n for tag in dict.fromkeys(tags) if (n := self._number(tag)) is not None]
        numbers = numbers[: self._tags.shape[1]]
        if not numbers:
            return
        self._room(item)
        self._tags[item, : len(numbers)] = numbers
        self._scale[item] = 1.0 / len(numbers)
        self._tagged += 1
        for number in numbers:
            self._lists.pop(number, None)
            held = self._items[number]
            held[item] = None
            if len(held) > self.width:
                del held[next(iter(held))]

    def drop(self, item: int) -> None:
        """Forget an item."""
        if item >= len(self._scale) or not self._scale[item]:
            return
        for number in self._tags[item].tolist():
            if number >= 0:
                self._lists.pop(number, None)
                self._items[number].pop(item, None)
        self._tags[item], self._scale[item] = -1, 0.0
        self._tagged -= 1

    def _number(self, tag: str) -> int | None:
        if tag not in self._numbers:
            if len(self._numbers) >= self.tags_max:
                return None
            self._numbers[tag] = len(self._numbers)
            self._items.append({})
        return self._numbers[tag]

    def _room(self, item: int) -> None:
        more = max(2 * len(self._scale), item + 1) - len(self._scale)
        if item >= len(self._scale):
            unknown = np.full((more, self._tags.shape[1]), -1, dtype=np.int32)
            self._tags = np.concatenate([self._tags, unknown])
            self._scale = np.concatenate([self._scale, np.zeros(more, dtype=np.float32)])

    # ------------------------------------------------------------------ answering

    def learn_one(self, x: Interaction) -> None:
        """Nothing: the profile is made of the history that comes with a query."""

    def touch(self, query: Query) -> TastesTouch:
        """Items that fit, best first; those acted on not."""
        weights = self._weights(query)
        if weights is None:
            return TastesTouch(self, query, None, NOBODY)
        strongest = np.argsort(-weights[:-1], kind="stable")[: self.asked].tolist()
        lists = [self._list(tag) for tag in strongest]
        ids, _ = self._uniter.unite(lists, np.array(query.recent, dtype=np.int32))
        fit = self.scores_of(weights, ids, query)
        return TastesTouch(self, query, weights, best(ids, fit, self.proposed)[0])

    def _list(self, tag: int) -> Ids:
        """The items of a tag, as an array that is kept until they change."""
        held = self._lists.get(tag)
        if held is None:
            items = self._items[tag]
            held = self._lists[tag] = np.fromiter(items, dtype=np.int32, count=len(items))
        return held

    def _weights(self, query: Query) -> Scores | None:
        """What each tag is worth to a user, float32[tags + 1], the last 0 for no tag; None while nothing tells."""
        items = np.array([*query.recent, *query.shown], dtype=np.intp)
        trust = np.ones(len(items))
        trust[: len(query.recent)] = self.fade ** np.arange(len(query.recent))
        said = np.full(len(items), -self.usual_rate)
        said[: len(query.recent)] = 1.0
        held = np.flatnonzero(items < len(self._scale))
        held = held[self._scale[items[held]] > 0]
        if not len(held):
            return None
        x, columns = self._rows(items[held], trust[held])
        weighted = x.T * trust[held]
        inner = weighted @ x
        inner.flat[:: len(columns) + 1] += self.ridge
        out = np.zeros(len(self._items) + 1, dtype=np.float32)
        out[columns] = np.linalg.solve(inner, weighted @ said[held])
        return out

    def _rows(
        self, items: NDArray[np.intp], trust: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Places]:
        """Rows of tags of some items, each of sum 1, float64[n, k], and which tags the columns are."""
        tags = self._tags[items]
        worth = np.broadcast_to((trust * self._scale[items])[:, None], tags.shape)
        often = np.bincount((tags + 1).ravel(), worth.ravel(), len(self._items) + 1)[1:]
        columns = np.sort(np.argsort(-often, kind="stable")[: min(self.known, np.count_nonzero(often))])
        place = np.full(len(self._items) + 1, len(columns))
        place[columns] = np.arange(len(columns))
        x = np.zeros((len(items), len(columns) + 1))
        rows = np.arange(len(items))[:, None]
        x[rows, place[tags]] = self._scale[items][:, None]
        return x[:, :-1], columns

    def scores_of(self, weights: Scores, ids: Ids, query: Query) -> Scores:
        """How well some ascending items fit, float32[n], above 0."""
        fit = gather.fit(ids, self._tags, self._scale, weights)
        out: Scores = np.exp(np.float32(self.sharpness) * fit)
        if query.shown and len(ids):
            passed, times = np.unique(np.array(query.shown, dtype=np.int64), return_counts=True)
            at = np.minimum(ids.searchsorted(passed), len(ids) - 1)
            held = ids[at] == passed
            out[at[held]] /= 1.0 + self.tired * times[held].astype(np.float32)
        return out

    # ------------------------------------------------------------------ snapshots

    def arrays(self) -> Arrays:
        """Nothing: the catalogue topic is read in full at each start."""
        return {}

    def load(self, arrays: Arrays) -> None:
        """Nothing: see :meth:`arrays`."""


@dataclass(frozen=True, slots=True)
class TastesTouch:
    """What a user likes, and the items that fit it best."""

    tastes: Tastes
    query: Query
    weights: Scores | None
    ids: NDArray[np.int32]

    def scores(self, at: Places, union: Ids) -> Matrix:
        """See :class:`online_models.sources.family.Touch`."""
        if self.weights is None:
            return np.zeros((1, len(union)), dtype=np.float32)
        return self.tastes.scores_of(self.weights, union, self.query)[None]
