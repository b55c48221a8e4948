"""What a user likes, as weights of tags learnt anew from what the user lately did and passed over.

Where nobody has acted yet there are no co-visits to go by; tags speak from the first slate on. With a row of tags for
each of the user's latest actions (``y = 1``, fading) and each slot passed over (``y = -usual_rate``),

    w = (X' D X + ridge I)^-1 X' D y,    score(item) = max(x . w + usual_rate, 0) + doubt

so that of two tags that come together the one that is passed over when alone gets no credit (ridge regression per user,
as in LinUCB: Li et al., 2010). An item seen and passed over lately scores less each time. Every item a request looks
at is scored, and one without tags counts as neither liked nor disliked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.kernels import tastes as kernel
from online_models.scratch import Uniter, highest
from online_models.sources.family import NOBODY, Matrix, Places

_START = 256


class Liked(NamedTuple):
    """What tags are worth to a user: int32[k] tags, ascending, float32[k] worths; every other tag is worth 0.

    ``passed`` are the items passed over, each once, and ``tired`` what their scores are divided by.
    """

    tags: Ids
    worths: Scores
    passed: Ids
    tired: Scores


class Tastes:
    """Items by how well their tags fit what a user acted on.

    Args:
        fade: weight of each earlier action against the next, in (0, 1].
        ridge: draws weights to 0, in actions, above 0.
        usual_rate: actions expected of a slot seen, in (0, 1).
        doubt: added to every expected rate, above 0: what is passed over for ever is not ruled out.
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
        doubt: float = 0.02,
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
        if not (ridge > 0 and doubt > 0 and 0 < usual_rate < 1 and tired >= 0):
            raise ValueError("ridge, doubt must be above 0, usual_rate in (0, 1), tired at least 0")
        if min(tags_of_item, width, asked, proposed, tags_max, known) < 1:
            raise ValueError("tags_of_item, width, asked, proposed, tags_max and known must be at least 1")
        self.fade, self.width, self.asked, self.proposed = fade, width, asked, proposed
        self.tags_max = tags_max
        self.ridge, self.usual_rate, self.doubt, self.tired = ridge, usual_rate, doubt, tired
        self.known = known
        self._numbers: dict[str, int] = {}
        self._items: list[dict[int, None]] = []  # by tag, the newest last
        self._lists: dict[int, Ids] = {}  # the same as arrays, for tags asked about since they changed
        self._uniter = Uniter()
        self._tags = np.full((_START, tags_of_item), -1, dtype=np.int32)  # by item
        self._scale = np.zeros(_START, dtype=np.float32)  # one over the number of tags; 0 for none
        self._fades = self.fade ** np.arange(64.0)
        # working memory by tag, zero between calls
        self._often, self._column, self._worth = _by_tag(_START)

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

    def _number(self, tag: str) -> int | None:
        if tag not in self._numbers:
            if len(self._numbers) >= self.tags_max:
                return None
            self._numbers[tag] = len(self._numbers)
            self._items.append({})
            if len(self._items) > len(self._often):
                self._often, self._column, self._worth = _by_tag(2 * len(self._items))
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
        """The items that fit best, ascending; those acted on not."""
        liked = self._liked(query)
        if liked is None:
            return TastesTouch(self, None, NOBODY)
        lists = [self._list(tag) for tag in self._strongest(liked)]
        ids, _ = self._uniter.unite(lists, np.array(query.recent, dtype=np.int32))
        fit = np.empty(len(ids), dtype=np.float32)
        self.score(liked, ids, fit)
        return TastesTouch(self, liked, ids[highest(fit, self.proposed)])

    def _list(self, tag: int) -> Ids:
        """The items of a tag, as an array that is kept until they change."""
        held = self._lists.get(tag)
        if held is None:
            items = self._items[tag]
            held = self._lists[tag] = np.fromiter(items, dtype=np.int32, count=len(items))
        return held

    def _liked(self, query: Query) -> Liked | None:
        """What the tags of a history are worth to its user; None while nothing tells."""
        if not self._numbers:
            return None
        items = np.array([*query.recent, *query.shown], dtype=np.int32)
        acted = len(query.recent)
        trust, said = np.ones(len(items)), np.full(len(items), -self.usual_rate)
        trust[:acted], said[:acted] = self._fading(acted), 1.0
        tags, often = kernel.met(items, trust, self._tags, self._scale, self._often)
        if not len(tags):
            return None
        if len(tags) > self.known:
            tags = tags[np.lexsort((tags, -often))[: self.known]]
        tags.sort()
        worths = kernel.worth(items, trust, said, self._tags, self._scale, tags, self.ridge, self._column)
        times = Counter(query.shown)
        passed = np.fromiter(times, dtype=np.int32, count=len(times))
        tired = np.fromiter(times.values(), dtype=np.float32, count=len(times))
        return Liked(tags, worths, passed, 1.0 + np.float32(self.tired) * tired)

    def _fading(self, n: int) -> NDArray[np.float64]:
        if n > len(self._fades):
            self._fades = self.fade ** np.arange(2.0 * n)
        return self._fades[:n]

    def _strongest(self, liked: Liked) -> list[int]:
        """The tags that propose: those worth most, ties by the lower number; any other tag is worth 0."""
        first = (-liked.worths).argsort(kind="stable")[: self.asked]
        if len(first) == self.asked and liked.worths[first[-1]] > 0.0:  # above all others
            return list(liked.tags[first].tolist())
        known = set(liked.tags.tolist())
        others = islice((tag for tag in range(len(self._items)) if tag not in known), self.asked)
        worths = [
            *zip((-liked.worths).tolist(), liked.tags.tolist(), strict=True),
            *((0.0, tag) for tag in others),
        ]
        return [tag for _, tag in sorted(worths)[: self.asked]]

    def score(self, liked: Liked, ids: Ids, out: Scores) -> None:
        """How well some ascending items fit, float32[n], above 0."""
        kernel.fit(
            ids, self._tags, liked.tags, liked.worths, self._worth, self.usual_rate, self.doubt,
            liked.passed, liked.tired, out,
        )  # fmt: skip

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
    liked: Liked | None
    ids: NDArray[np.int32]

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        if self.liked is not None:
            self.tastes.score(self.liked, union, out[0])


def _by_tag(size: int) -> tuple[NDArray[np.float64], NDArray[np.int32], Scores]:
    return np.zeros(size), np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.float32)
