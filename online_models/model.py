"""Retrieval and ordering together: the learnt state that a worker and an API replica both hold.

Every source learns from every interaction, once. A request asks each source for its best, merges them into at most
``n`` candidates and orders those. Reads never change anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from online_models import candidates as merging
from online_models.base import Arrays, Ids, Interaction, Query, Scores, Source
from online_models.candidates import Candidates
from online_models.features import FeatureSchema
from online_models.ordering import OrderingHead
from online_models.sources.content import Content
from online_models.sources.covisits import Covisits, View
from online_models.sources.embedding import Embedding
from online_models.sources.popularity import Popularity

HOUR, DAY = 3_600_000, 86_400_000
FLOOR = "covisits_5"


class Model:
    """All sources and the ordering head.

    Args:
        seed: of everything random.
        width: neighbours kept per item and list.
        per_source: items each source proposes.
    """

    def __init__(self, *, seed: int = 0, width: int = 200, per_source: int = 120) -> None:
        if per_source < 1:
            raise ValueError(f"per_source must be at least 1, not {per_source}")
        self.per_source = per_source
        self._both = Covisits(width=width)
        self._after = Covisits(width=width, directed=True, shrink=5.0)
        self._quick = Covisits(width=width, directed=True, half_life=1_500.0, shrink=2.0, span=5)
        self.embedding = Embedding(seed=seed)
        self.content = Content("content")
        self._popular = [Popularity(f"popular_{name}", ms) for name, ms in _HALF_LIVES]
        self._views = [
            View("covisits_20", self._both, 20, 0.9),
            View(FLOOR, self._both, 5, 0.8),
            View("covisits_1", self._both, 1, 1.0),
            View("after_5", self._after, 5, 0.7),
            View("after_quick", self._quick, 3, 0.6),
        ]
        self._sources: list[Source] = [*self._views, *self._popular, self.embedding, self.content]
        self.sources: tuple[str, ...] = tuple(s.name for s in self._sources)
        self.schema = FeatureSchema.of(self.sources)
        self.head = OrderingHead(self.schema, floor=f"{FLOOR}.score")
        self._first = np.zeros(256, dtype=np.int64)
        self._last = np.zeros(256, dtype=np.int64)

    # ------------------------------------------------------------------ learning

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction into every source."""
        for lists in (self._both, self._after, self._quick):
            lists.learn_one(x)
        for popular in self._popular:
            popular.learn_one(x)
        self.embedding.learn_one(x)
        self._room(x.item)
        self._first[x.item] = self._first[x.item] or x.ts
        self._last[x.item] = max(self._last[x.item], x.ts)

    def learn_order(self, c: Candidates, target: int) -> None:
        """One of the candidates a slate was chosen from was acted on."""
        self.head.learn(c, target)

    def note_item(
        self,
        item: int,
        ts: int,
        *,
        title: str = "",
        tags: Iterable[str] = (),
        embedding: Sequence[float] | None = None,
    ) -> None:
        """A catalogue entry: its content makes the item retrievable at once."""
        self._room(item)
        self._first[item] = self._first[item] or ts
        self.content.note(item, tags=tags, title=title)

    def retire(self, item: int) -> None:
        """The item is gone."""
        for part in self._parts().values():
            if not isinstance(part, OrderingHead):
                part.drop(item)
        self.content.drop(item)

    def _room(self, item: int) -> None:
        if item >= len(self._first):
            more = np.zeros(max(2 * len(self._first), item + 1) - len(self._first), dtype=np.int64)
            self._first, self._last = np.concatenate([self._first, more]), np.concatenate([self._last, more])

    # ------------------------------------------------------------------ answering

    def propose(self, query: Query, n: int | None = None) -> dict[str, tuple[Ids, Scores]]:
        """What each source proposes by itself, best first."""
        return {s.name: s.retrieve(query, n or self.per_source) for s in self._sources}

    def candidates(self, query: Query, n: int = 200) -> Candidates:
        """At most ``n`` items from all sources, with their features as of the query."""
        return self.assemble(list(self.propose(query).values()), query, n)

    def assemble(self, lists: list[tuple[Ids, Scores]], query: Query, n: int) -> Candidates:
        """Candidates from lists of every source, in order of :attr:`sources` (an empty list for one that failed)."""
        merged = merging.merge(lists, n)
        known = merged.ids < len(self._first)
        at = np.where(known, merged.ids, 0)
        return merging.build(
            merged, query, np.where(known, self._first[at], 0), np.where(known, self._last[at], 0)
        )

    def order(self, c: Candidates) -> NDArray[np.float64]:
        """Scores of the candidates, float64[n]; greater is better."""
        return self.head.order(c)

    def similar(self, item: int, n: int, now: int) -> tuple[Ids, Scores]:
        """Items like this one: co-visits, filled up by content."""
        query = Query(0, (item,), (now,), now)
        ids, scores = self._views[2].retrieve(query, n)
        if len(ids) < n:
            more, said = self.content.retrieve(query, n)
            fresh = ~np.isin(more, ids)
            low = float(scores.min()) if len(scores) else 1.0
            said = said / max(float(said.max(initial=1.0)), 1e-9) * low
            ids, scores = np.concatenate([ids, more[fresh]])[:n], np.concatenate([scores, said[fresh]])[:n]
        return ids, scores

    def popular(self, n: int, now: int) -> tuple[Ids, Scores]:
        """What is acted on most, at a half-life of a day."""
        return self._popular[1].retrieve(Query(0, (), (), now), n)

    def vectors(self, ids: Ids) -> NDArray[np.float32]:
        """Normalised item vectors, float32[n, d]; zeros where there is none."""
        return self.embedding.index.vectors(ids)

    def explain(self, c: Candidates, row: int) -> dict[str, float]:
        """What each feature adds to a candidate's score."""
        return self.head.contributions(c, row)

    # ------------------------------------------------------------------ exchange and snapshots

    def take_delta(self) -> Arrays:
        """What the ordering head learnt since last asked, as gradient sums."""
        return self.head.take_delta()

    def merge(self, delta: Arrays) -> bool:
        """Take in another worker's :meth:`take_delta`; False when it would do harm."""
        return self.head.merge(delta)

    def arrays(self) -> Arrays:
        """All learnt state as arrays."""
        parts = {f"{name}/{k}": v for name, part in self._parts().items() for k, v in part.arrays().items()}
        return {**parts, "first": self._first.copy(), "last": self._last.copy()}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        for name, part in self._parts().items():
            part.load({k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{name}/")})
        self._first, self._last = arrays["first"].copy(), arrays["last"].copy()

    def _parts(self) -> dict[str, Covisits | Popularity | Embedding | OrderingHead]:
        popular = {p.name: p for p in self._popular}
        return {
            "both": self._both, "after": self._after, "quick": self._quick, **popular,
            "embedding": self.embedding, "head": self.head,
        }  # fmt: skip


_HALF_LIVES = (("hour", HOUR), ("day", DAY), ("week", 7 * DAY), ("year", 365 * DAY))
