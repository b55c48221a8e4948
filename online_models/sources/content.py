"""Items by what they are: tags and words of titles. An item that arrived a second ago can be found by it.

The score is the cosine of idf-weighted tokens between the items of a history and an item (Salton and Buckley, 1988).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.scratch import best
from online_models.sources.family import Matrix, Places

_WORD = re.compile(r"\w{3,}")


class Content:
    """An inverted list of tokens over the catalogue.

    Args:
        last: items of the history that count.
        width: newest items kept per token; older ones of a very common token are not proposed by it.
        tokens_max: tokens kept per item.
        proposed: items proposed to a request.

    >>> content = Content()
    >>> content.note(1, tags=("war",), title="")
    >>> content.note(2, tags=("war", "drama"), title="")
    >>> content.touch(Query(0, (1,), (0,), now=1)).ids.tolist()
    [2]
    """

    names = ("content",)

    def __init__(self, *, last: int = 3, width: int = 200, tokens_max: int = 32, proposed: int = 50) -> None:
        if min(last, width, tokens_max, proposed) < 1:
            raise ValueError("last, width, tokens_max and proposed must be at least 1")
        self.last, self.width, self.tokens_max, self.proposed = last, width, tokens_max, proposed
        self._tokens: dict[int, tuple[str, ...]] = {}
        self._items: dict[str, dict[int, None]] = {}

    def note(self, item: int, *, tags: Iterable[str], title: str) -> None:
        """Take a catalogue entry over."""
        self.drop(item)
        words = [f"w:{w}" for w in _WORD.findall(title.lower())]
        tokens = tuple(dict.fromkeys([*(f"t:{t}" for t in tags), *words]))[: self.tokens_max]
        self._tokens[item] = tokens
        for token in tokens:
            held = self._items.setdefault(token, {})
            held[item] = None
            if len(held) > self.width:
                del held[next(iter(held))]

    def drop(self, item: int) -> None:
        """Forget an item."""
        for token in self._tokens.pop(item, ()):
            held = self._items.get(token, {})
            held.pop(item, None)
            if not held:
                self._items.pop(token, None)

    def learn_one(self, x: Interaction) -> None:
        """Nothing: content does not depend on what is done."""

    def touch(self, query: Query) -> ContentTouch:
        """Items that share tokens with the last items, best first; those items themselves not."""
        sums = self._sums(query.recent[: self.last])
        ids = np.fromiter(sums, dtype=np.int32, count=len(sums))
        scores = np.fromiter(sums.values(), dtype=np.float64, count=len(sums))
        return ContentTouch(*best(ids, scores, self.proposed))

    def _sums(self, recent: tuple[int, ...]) -> dict[int, float]:
        wanted: dict[str, float] = {}
        for age, item in enumerate(recent):
            for token in self._tokens.get(item, ()):
                wanted[token] = wanted.get(token, 0.0) + 0.8**age
        sums: dict[int, float] = {}
        total = len(self._tokens) + 1
        for token, weight in wanted.items():
            held = self._items.get(token, {})
            gain = weight * math.log1p(total / (1 + len(held))) ** 2
            for item in held:
                sums[item] = sums.get(item, 0.0) + gain
        for item in recent:
            sums.pop(item, None)
        return {item: said / math.sqrt(1 + len(self._tokens[item])) for item, said in sums.items()}

    def arrays(self) -> Arrays:
        """Nothing: the catalogue topic is read in full at each start."""
        return {}

    def load(self, arrays: Arrays) -> None:
        """Nothing: see :meth:`arrays`."""


@dataclass(frozen=True, slots=True)
class ContentTouch:
    """Items alike in content, best first."""

    ids: Ids
    said: Scores

    def scores(self, at: Places, union: Ids) -> Matrix:
        """See :class:`online_models.sources.family.Touch`."""
        out = np.zeros((1, len(union) + 1), dtype=np.float32)
        out[0, at] = self.said
        return out[:, :-1]
