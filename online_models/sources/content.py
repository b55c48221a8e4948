"""Items by what they are: tags, words of titles, vectors. An item that arrived a second ago can be found by it.

The score is the cosine of idf-weighted tokens between the items of a history and an item (Salton and Buckley, 1988).
Where the catalogue brings vectors, it is that, relative to the best, plus the cosine with the last items' vectors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.kernels import gather
from online_models.kernels import unite as kernel
from online_models.scratch import best
from online_models.sources.family import Matrix, Places
from online_models.sources.vectors import CatalogueVectors, Vectors

_FADE = 0.8  # of an item of the history against the one after it
_WORD = re.compile(r"\w{3,}")


class Content:
    """An inverted list of tokens over the catalogue.

    Args:
        last: items of the history that count.
        width: newest items kept per token; older ones of a very common token are not proposed by it.
        tokens_max: tokens kept per item.
        proposed: items proposed to a request, by tokens and as many by vectors.
        memory: bytes of vectors held.

    >>> content = Content()
    >>> content.note(1, tags=("war",), title="")
    >>> content.note(2, tags=("war", "drama"), title="")
    >>> content.touch(Query(0, (1,), (0,), now=1)).ids.tolist()
    [2]
    """

    names = ("content",)

    def __init__(
        self,
        *,
        last: int = 3,
        width: int = 200,
        tokens_max: int = 32,
        proposed: int = 50,
        memory: int = 256_000_000,
    ) -> None:
        if min(last, width, tokens_max, proposed) < 1:
            raise ValueError("last, width, tokens_max and proposed must be at least 1")
        self.last, self.width, self.tokens_max, self.proposed = last, width, tokens_max, proposed
        self.vectors = CatalogueVectors(memory=memory)
        self._tokens: dict[int, tuple[str, ...]] = {}
        self._items: dict[str, dict[int, None]] = {}
        self._lists: dict[str, Ids] = {}  # the same as arrays, for tokens asked about since they changed
        self._lengths = np.zeros(256, dtype=np.int16)  # tokens of each item
        self._sum = np.zeros(256)  # working memory by item, zero between calls

    def note(
        self, item: int, *, tags: Iterable[str], title: str, embedding: Sequence[float] | None = None
    ) -> None:
        """Take a catalogue entry over; a vector that cannot be used is counted in ``vectors.refused``."""
        self.drop(item)
        words = [f"w:{w}" for w in _WORD.findall(title.lower())]
        tokens = tuple(dict.fromkeys([*(f"t:{t}" for t in tags), *words]))[: self.tokens_max]
        self._tokens[item] = tokens
        self._room(item)
        self._lengths[item] = len(tokens)
        for token in tokens:
            self._lists.pop(token, None)
            held = self._items.setdefault(token, {})
            held[item] = None
            if len(held) > self.width:
                del held[next(iter(held))]
        if embedding is not None:
            self.vectors.note(item, embedding)

    def drop(self, item: int) -> None:
        """Forget an item."""
        self.vectors.drop(item)
        for token in self._tokens.pop(item, ()):
            self._lists.pop(token, None)
            held = self._items.get(token, {})
            held.pop(item, None)
            if not held:
                self._items.pop(token, None)

    def learn_one(self, x: Interaction) -> None:
        """Nothing: content does not depend on what is done."""

    def touch(self, query: Query) -> ContentTouch:
        """Items that share tokens with the last items, best first, then the nearest; those items themselves not."""
        recent = query.recent[: self.last]
        if not self._tokens:
            return ContentTouch(self.vectors, _NOT, _NONE_SAID, _NONE_SAID, _NOT)
        ids, said = best(*self._sums(recent), self.proposed)
        profile = self.vectors.profile(recent, fade=_FADE)
        if not len(profile):
            return ContentTouch(self.vectors, ids, said, profile, _NOT)
        near = self.vectors.nearest(profile, self.proposed + len(recent))
        own = np.array(recent, dtype=np.int32)
        ids = np.concatenate([ids, near[~np.isin(near, own)]])
        return ContentTouch(self.vectors, ids, said / max(float(said.max(initial=0.0)), 1e-9), profile, own)

    def _sums(self, recent: tuple[int, ...]) -> tuple[Ids, NDArray[np.float64]]:
        """Items with a token in common, and how alike they are, float64[n]."""
        wanted: dict[str, float] = {}
        for age, item in enumerate(recent):
            for token in self._tokens.get(item, ()):
                wanted[token] = wanted.get(token, 0.0) + _FADE**age
        lists = [self._list(token) for token in wanted]
        if not lists:
            return _NOT, np.zeros(0)
        total = len(self._tokens) + 1
        gains = [
            weight * math.log1p(total / (1 + len(held))) ** 2
            for weight, held in zip(wanted.values(), lists, strict=True)
        ]
        return kernel.summed(
            np.concatenate(lists), np.array([len(held) for held in lists]), np.array(gains),
            np.array(recent, dtype=np.int32), self._lengths, self._sum,
        )  # fmt: skip

    def _list(self, token: str) -> Ids:
        """The items of a token, as an array that is kept until they change."""
        held = self._lists.get(token)
        if held is None:
            items = self._items.get(token, {})
            held = self._lists[token] = np.fromiter(items, dtype=np.int32, count=len(items))
        return held

    def _room(self, item: int) -> None:
        if item >= len(self._lengths):
            more = max(2 * len(self._lengths), item + 1) - len(self._lengths)
            self._lengths = np.concatenate([self._lengths, np.zeros(more, dtype=np.int16)])
            self._sum = np.zeros(len(self._lengths))

    def arrays(self) -> Arrays:
        """Nothing: the catalogue topic is read in full at each start."""
        return {}

    def load(self, arrays: Arrays) -> None:
        """Nothing: see :meth:`arrays`."""


_NOT = np.zeros(0, dtype=np.int32)
_NONE_SAID = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ContentTouch:
    """Items alike in content: by tokens, best first, then by vectors."""

    vectors: CatalogueVectors
    ids: Ids
    said: Scores  # of the first len(said) ids
    profile: Vectors  # empty where no vector tells
    own: Ids  # what the profile is made of

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        gather.put(at, self.said[None], out)
        if len(self.profile):
            near = self.vectors.cosines(self.profile, union)
            near[np.isin(union, self.own)] = 0.0
            out[0] += near
