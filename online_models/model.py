"""Retrieval and ordering together: the learnt state that a worker and an API replica both hold.

Every source learns from every interaction, once. A request asks each family of sources what it can say, unites the
items, scores all of them by every source, sifts out at most ``n`` candidates and orders those. Reads never change
anything. One process, one thread: working memory is shared between calls.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from online_models import features
from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.candidates import Candidates
from online_models.features import Buckets, FeatureSchema
from online_models.kernels import sifting as kernel
from online_models.ordering import OrderingHead
from online_models.scratch import Uniter, best, highest
from online_models.sources.content import Content
from online_models.sources.covisits import Covisits
from online_models.sources.embedding import Embedding
from online_models.sources.family import Family, Matrix, Places, Touch
from online_models.sources.fresh import Fresh
from online_models.sources.neighbours import Neighbours
from online_models.sources.popularity import Popularity
from online_models.sources.tastes import Tastes

log = logging.getLogger(__name__)

FLOOR = {"covisits_20.score": 0.3, "covisits_5.score": 0.3, "vsk.score": 0.3, "tastes.score": 3.0}
FAMILIES = ("covisits", "neighbours", "popularity", "embedding", "content", "fresh", "tastes")
RESERVED = {"content": 5, "fresh": 5}
"""Candidates that a source may always bring, however little it has been heard on: nothing else knows a new item."""

Keep = Callable[[Ids], NDArray[np.bool_]]
_NO_ITEMS = np.zeros(0, dtype=np.int32)
_START = 256


class Model:
    """All sources and the ordering head.

    Args:
        seed: of everything random.
        width: neighbours kept per item in the co-visit lists.
        items: interned ids from here on are not learnt from, and counted; an item acted on takes about 6 KB.
        users: whose histories are kept for the neighbours' votes.
        holders: latest holders kept per item.
        union: items that are looked at closely for one request; beyond it, those the sources rate highest in sum.
        hidden: units of the ordering head's hidden layer; 0 for none.
        without: families of sources that are left out (``covisits``, ``neighbours``, ``popularity``, ``embedding``,
            ``content``, ``fresh``, ``tastes``), to trade quality for time; not all.

    >>> model = Model()
    >>> for user in range(5):
    ...     model.learn_one(Interaction(user, item=1, ts=0))
    ...     model.learn_one(Interaction(user, item=2, ts=1, recent=(1,), recent_ts=(0,)))
    >>> c = model.candidates(Query(9, recent=(1,), recent_ts=(5,), now=6), exclude=np.array([1]))
    >>> c.ids.tolist()
    [2]
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        width: int = 200,
        items: int = 200_000,
        users: int = 50_000,
        holders: int = 128,
        union: int = 2_000,
        hidden: int = 32,
        without: Collection[str] = (),
    ) -> None:
        if union < 1 or items < 1:
            raise ValueError(f"union and items must be at least 1, not {union} and {items}")
        self.union, self.items = union, items
        self.covisits = Covisits(width=width)
        self.neighbours = Neighbours(users=users, holders=holders)
        self.popularity = Popularity()
        self.embedding = Embedding(seed=seed)
        self.content = Content()
        self.newest = Fresh()
        self.tastes = Tastes()
        self._families: dict[str, Family] = {
            "covisits": self.covisits, "neighbours": self.neighbours, "popularity": self.popularity,
            "embedding": self.embedding, "content": self.content, "fresh": self.newest,
            "tastes": self.tastes,
        }  # fmt: skip
        if not set(without) < set(self._families):
            raise ValueError(f"without must name some of {', '.join(self._families)}, not {sorted(without)}")
        self._families = {name: f for name, f in self._families.items() if name not in without}
        self.sources: tuple[str, ...] = tuple(name for f in self._families.values() for name in f.names)
        ends = list(accumulate(len(f.names) for f in self._families.values()))
        self._rows = {
            name: slice(end - len(f.names), end)
            for (name, f), end in zip(self._families.items(), ends, strict=True)
        }
        self.schema = FeatureSchema.of(self.sources)
        floor = {name: weight for name, weight in FLOOR.items() if name in self.schema.names}
        self.head = OrderingHead(self.schema, floor=floor, hidden=hidden, seed=seed)
        self.stats: Counter[str] = Counter()
        self._reserved = [(self.sources.index(s), k) for s, k in RESERVED.items() if s in self.sources]
        self._uniter = Uniter()
        self._ticks = 0  # interactions folded in
        self._seen = np.full((_START, 2), -1, dtype=np.int64)  # first and last, in ticks; -1 for never
        self._alive = np.ones(_START, dtype=np.bool_)

    @classmethod
    def lean(cls, seed: int = 0) -> Model:
        """A model that learns in half the time, for nearly the quality (docs/quality.md says how nearly)."""
        return cls(seed=seed, hidden=0, without=("embedding",))

    # ------------------------------------------------------------------ learning

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction into every source."""
        if max(x.item, *x.recent, 0) >= self.items:
            self.stats["items_beyond_cap"] += 1
            if x.item >= self.items:
                return
            x = self._within(x)
        self._room(x.item)
        self._ticks += 1
        if self._seen[x.item, 0] < 0:
            self._seen[x.item, 0] = self._ticks
            self.newest.note(x.item, x.ts)
        self._seen[x.item, 1] = self._ticks
        for family in self._families.values():
            family.learn_one(x)

    def _within(self, x: Interaction) -> Interaction:
        """The interaction without those earlier items that are beyond the cap."""
        kept = [k for k, item in enumerate(x.recent) if item < self.items]
        recent, times = tuple(x.recent[k] for k in kept), tuple(x.recent_ts[k] for k in kept)
        voted = sum((x.voted >> k & 1) << place for place, k in enumerate(kept))
        return replace(x, recent=recent, recent_ts=times, voted=voted)

    def learn_order(self, c: Candidates, target: int) -> None:
        """One of the candidates a slate was chosen from was acted on; nothing happens when it is not among them."""
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
        """A catalogue entry: its content makes the item retrievable at once.

        Args:
            embedding: of one length for all items; others are counted in ``content.vectors.refused``.
        """
        if item >= self.items:
            self.stats["items_beyond_cap"] += 1
            return
        self._room(item)
        self._alive[item] = True
        self.newest.note(item, ts)
        tags = tuple(tags)
        self.content.note(item, tags=tags, title=title, embedding=embedding)
        self.tastes.note(item, tags=tags)

    def retire(self, item: int) -> None:
        """The item is gone; it is never proposed again unless :meth:`note_item` brings it back."""
        if item >= self.items:
            return
        self._room(item)
        self._alive[item] = False
        for family in self._families.values():
            family.drop(item)

    def _room(self, item: int) -> None:
        size = len(self._alive)
        if item >= size:
            more = max(2 * size, item + 1) - size
            never = np.full((more, 2), -1, dtype=np.int64)
            self._seen = np.concatenate([self._seen, never])
            self._alive = np.concatenate([self._alive, np.ones(more, dtype=np.bool_)])

    # ------------------------------------------------------------------ answering

    def candidates(
        self, query: Query, n: int = 200, *, exclude: Ids = _NO_ITEMS, keep: Keep | None = None,
        also: Ids = _NO_ITEMS, without: Collection[str] = (),
    ) -> Candidates:  # fmt: skip
        """At most ``n`` items with their features as of the query.

        Args:
            exclude: items to leave out, in any order; unknown ones are ignored.
            keep: given the ids of all that is proposed (ascending, a few hundred), says which are allowed.
            also: a few items that are to be among them, whatever the sources say.
            without: families of sources that are not asked (:data:`FAMILIES`), to spare their time.
        """
        also = also[also < len(self._alive)] if len(also) else _NO_ITEMS
        union, scores, failed = self._propose(query, exclude, also, without)
        allowed = np.arange(len(union)) if keep is None else keep(union).nonzero()[0]
        return self._sift(query, n, union[allowed], scores, allowed, failed, also)

    def propose(self, query: Query, n: int = 100) -> dict[str, tuple[Ids, Scores]]:
        """What each source proposes by itself, best first, ties by the lower id."""
        union, scores, _ = self._propose(query, _NO_ITEMS)
        return {name: best(union, scores[k], n) for k, name in enumerate(self.sources)}

    def scores_by_source(self, query: Query, exclude: Ids = _NO_ITEMS) -> tuple[Ids, Matrix]:
        """Every item proposed, ascending, and what each source says of it, float32[sources, n]."""
        union, scores, _ = self._propose(query, exclude)
        return union, scores

    def assemble(self, lists: Sequence[tuple[Ids, Scores]], query: Query, n: int) -> Candidates:
        """Candidates from lists of every source, in order of :attr:`sources` (an empty list for one that failed).

        :meth:`candidates` knows more: there every source scores what any of them proposed.
        """
        union, places = self._uniter.unite([ids for ids, _ in lists], allowed=self._alive)
        scores = np.zeros((len(lists), len(union) + 1), dtype=np.float32)
        for k, (_, said) in enumerate(lists):
            scores[k, places[k]] = said
        return self._sift(query, n, union, scores, np.arange(len(union)), ())

    def _propose(
        self, query: Query, exclude: Ids, also: Ids = _NO_ITEMS, without: Collection[str] = ()
    ) -> tuple[Ids, Matrix, tuple[str, ...]]:
        """Every item that some source has something to say about, and what each source says."""
        touches: dict[str, Touch] = {}
        failed: list[str] = []
        for name, family in self._families.items():
            if name in without:
                continue
            try:
                touches[name] = family.touch(query)
            except Exception:  # a request is answered without the source that failed
                self._failed(name, failed)
        lists = [touch.ids for touch in touches.values()]
        known = len(self._alive)
        own = np.array([i for i in query.recent if i < known], dtype=np.int32)
        union, places = self._uniter.unite([*lists, own, also], exclude, self._alive)
        scores = np.zeros((len(self.sources), len(union)), dtype=np.float32)
        for (name, touch), at in zip(touches.items(), places, strict=False):
            rows = scores[self._rows[name]]
            try:
                touch.score(at, union, rows)
            except Exception:
                rows[...] = 0.0
                self._failed(name, failed)
        return union, scores, tuple(failed)

    def _failed(self, name: str, failed: list[str]) -> None:
        failed.append(name)
        self.stats[f"source_failed.{name}"] += 1
        if self.stats[f"source_failed.{name}"] == 1:
            log.exception("source %s gave no answer; requests go on without it", name)

    def _sift(
        self, query: Query, n: int, union: Ids, scores: Matrix, at: Places, failed: tuple[str, ...],
        also: Ids = _NO_ITEMS,
    ) -> Candidates:  # fmt: skip
        """The ``n`` best of some items, whose scores stand at places of those of more."""
        share = features.shares(scores, at)
        if len(union) > max(self.union, n):
            said = share.sum(axis=0)
            if len(also):
                said[np.isin(union, also)] = np.inf
            rows = highest(said, max(self.union, n))
            union, at = union[rows], at[rows]
            share = features.shares(scores, at)
        of_item = features.of_items(union, query, self._seen, self._ticks)
        logs, buckets = features.logarithms(share), Buckets.of(query)
        rows = np.arange(len(union))
        if len(union) > n:
            worth = self.head.sift(share, logs, of_item, buckets)
            if len(also):
                worth[np.isin(union, also)] = np.inf
            for source, k in self._reserved:
                kernel.lift(worth, share[source], k)
            rows = highest(worth, n)
        table, loudest = features.table(rows, share, logs, of_item)
        return Candidates(union[rows], table, loudest, buckets, failed)

    def order(self, c: Candidates) -> NDArray[np.float64]:
        """Scores of the candidates, float64[n]; greater is better."""
        return self.head.order(c)

    def similar(self, item: int, n: int, now: int) -> tuple[Ids, Scores]:
        """Items like this one: co-visits, filled up by content."""
        proposals = self.propose(Query(0, (item,), (now,), now), n + 1)
        ids, scores = proposals["covisits_1" if "covisits_1" in proposals else "vsk"]
        ids, scores = ids[ids != item][:n], scores[ids != item][:n]
        if len(ids) < n:
            more, said = proposals["content"]
            new = ~np.isin(more, [*ids.tolist(), item])
            low = float(scores.min()) if len(scores) else 1.0
            said = said / max(float(said.max(initial=0.0)), 1e-9) * low
            ids, scores = np.concatenate([ids, more[new]])[:n], np.concatenate([scores, said[new]])[:n]
        return ids, scores

    def popular(self, n: int, now: int) -> tuple[Ids, Scores]:
        """What is acted on most, at a half-life of a day."""
        return self.popularity.top("popular_day", n, now)

    def fresh(self, n: int, now: int) -> Ids:
        """The newest items, the newest first."""
        return self.newest.newest(n)

    def user_vector(self, query: Query) -> NDArray[np.float32]:
        """The history's vector, float32[d]; its inner product with an item's vector tells what comes next."""
        return self.embedding.user_vector(query.recent)

    def vectors(self, ids: Ids) -> NDArray[np.float32]:
        """Normalised item vectors, float32[n, d]; zeros where there is none."""
        return self.embedding.vectors(ids)

    def explain(self, c: Candidates, row: int) -> dict[str, float]:
        """What each feature adds to a candidate's score, the largest first."""
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
        own = {"first": self._seen[:, 0].copy(), "last": self._seen[:, 1].copy(), "alive": self._alive.copy()}
        out: Arrays = {**own, "ticks": np.array([self._ticks], dtype=np.int64)}
        for name, part in self._parts().items():
            out |= {f"{name}/{key}": array for key, array in part.arrays().items()}
        return out

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave.

        Raises:
            ValueError: the arrays are of other settings or another schema.
        """
        for name, part in self._parts().items():
            prefix = f"{name}/"
            part.load({k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})
        self._seen = np.stack([arrays["first"], arrays["last"]], axis=1).astype(np.int64)
        self._alive, self._ticks = arrays["alive"].copy(), int(arrays["ticks"][0])

    def _parts(self) -> dict[str, Family | OrderingHead]:
        return {**self._families, "head": self.head}
