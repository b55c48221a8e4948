"""What the sources propose, merged into one bounded set with a row of features each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models import features
from online_models.base import Ids, Query, Scores
from online_models.features import Rows


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items to choose from, with their features as of the query.

    ``source[i]`` is the source that ranks item ``i`` highest; ``gap`` and ``length`` are the buckets the ordering
    head's weights are crossed with.
    """

    ids: Ids  # int32[n], ascending
    features: Rows  # float32[n, F]
    source: NDArray[np.int8]  # int8[n]
    gap: int
    length: int

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Candidates:
        """Some of the candidates."""
        return Candidates(self.ids[rows], self.features[rows], self.source[rows], self.gap, self.length)

    def place(self, item: int) -> int | None:
        """The row of an item, if it is among them."""
        at = int(np.searchsorted(self.ids, item))
        return at if at < len(self.ids) and self.ids[at] == item else None


@dataclass(frozen=True, slots=True)
class Merged:
    """The union of the sources' lists: scores and ranks by source."""

    ids: Ids
    scores: NDArray[np.float32]  # [n, S]
    ranks: NDArray[np.int32]  # [n, S], -1 where not proposed


def merge(lists: Sequence[tuple[Ids, Scores]], n: int) -> Merged:
    """The union of ranked lists, at most ``n`` items: those of the greatest sum of 1 / (10 + rank), ties by lower id.

    >>> one = (np.array([5, 2], dtype=np.int32), np.array([2.0, 1.0], dtype=np.float32))
    >>> two = (np.array([2, 9], dtype=np.int32), np.array([7.0, 1.0], dtype=np.float32))
    >>> merge([one, two], 2).ids.tolist()
    [2, 5]
    """
    ids = np.unique(np.concatenate([ids for ids, _ in lists])) if lists else np.zeros(0, dtype=np.int32)
    scores = np.zeros((len(ids), len(lists)), dtype=np.float32)
    ranks = np.full((len(ids), len(lists)), -1, dtype=np.int32)
    for s, (proposed, said) in enumerate(lists):
        at = np.searchsorted(ids, proposed)
        scores[at, s] = said
        ranks[at, s] = np.arange(len(proposed))
    if len(ids) > n:
        worth = np.where(ranks >= 0, 1.0 / (10.0 + ranks), 0.0).sum(axis=1)
        keep = np.sort(np.lexsort((ids, -worth))[:n])
        ids, scores, ranks = ids[keep], scores[keep], ranks[keep]
    return Merged(ids, scores, ranks)


def build(merged: Merged, query: Query, first: NDArray[np.int64], last: NDArray[np.int64]) -> Candidates:
    """Candidates with their features; ``first`` and ``last`` as in :func:`features.of_items`."""
    rows = np.concatenate(
        [
            features.of_sources(merged.scores, merged.ranks),
            features.of_items(merged.ids, query, first, last),
        ],
        axis=1,
    )
    rank = np.where(merged.ranks >= 0, merged.ranks, np.iinfo(np.int32).max)
    gap, length = features.buckets(query)
    source = rank.argmin(axis=1).astype(np.int8) if len(merged.ids) else np.zeros(0, dtype=np.int8)
    return Candidates(merged.ids, rows, source, gap, length)
