"""From scores to a slate: diversity, caps and pins say what may come next, and one draw decides, slot by slot.

Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): given the slots before, a candidate's score is lowered
by its likeness to the nearest of them,

    score(i | prefix) = s_i - d / (1 - d) * spread * max_j cos(v_i, v_j)

where ``spread`` is how far the best score lies above that of the last candidate likely to be shown, so that the weight
means the same whatever the scale of the scores. The same rule holds for greedy and randomised requests, and the draw
comes last: propensities are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.candidates import Candidates
from online_models.catalog import Catalog
from online_models.kernels.drawing import stepped
from online_models.kernels.greedy import greedy_slate

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Vectors = NDArray[np.float32]
UNTAGGED = np.zeros((0, 0), dtype=np.int32)
_UNLIKE = np.zeros((0, 0), dtype=np.float32)


def best_slate(
    scores: Floats, vectors: Vectors | None, weight: float, slots: int, *, tags: NDArray[np.int32] = UNTAGGED,
    most: int = 0, new_slot: int | None = None, new: Places | None = None,
) -> tuple[int, ...]:  # fmt: skip
    """The greedy slate by the rules below, in one pass: places, best first, ties to the lower place.

    Args:
        scores: float64[n].
        vectors: normalised, float32[n, d]; None to leave likeness out.
        tags: of each candidate, int32[n, t], -1 for none; no tag stands in more than ``most`` slots, 0 for no cap.
        new_slot: a slot that goes to one of the places ``new``, as far as any is left.

    >>> best_slate(np.array([3.0, 2.9, 1.0]), np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32), 0.5, 3)
    (0, 2, 1)
    """
    n = len(scores)
    wanted = np.zeros(n, dtype=np.uint8)
    if new is not None:
        wanted[new] = 1
    given = vectors if vectors is not None else _UNLIKE
    penalty = penalty_of(scores, weight, slots) if vectors is not None else 0.0
    known = int(tags.max(initial=-1)) + 1 if most else 0
    at = -1 if new_slot is None else new_slot
    return tuple(
        greedy_slate(scores, given, penalty, slots, tags if most else UNTAGGED, known, most, at, wanted)
    )


def penalty_of(scores: Floats, weight: float, slots: int) -> float:
    """What full likeness takes off a score: its weight, on the scale of the scores of three slates, float64[n].

    >>> penalty_of(np.array([4.0, 3.0, 2.0]), 0.5, 1)
    2.0
    """
    last = min(3 * slots, len(scores))
    if not last:
        return 0.0
    ascending = scores.copy()
    ascending.sort()
    return weight / (1.0 - weight) * float(ascending[-1] - ascending[-last])


def tag_table(catalog: Catalog, ids: Ids) -> NDArray[np.int32]:
    """The tags of some items, int32[n, t], numbered among themselves; -1 for none."""
    numbers: dict[int, int] = {}
    rows = [[numbers.setdefault(t, len(numbers)) for t in catalog.tag_numbers(i)] for i in ids.tolist()]
    out = np.full((len(rows), max(map(len, rows), default=0)), -1, dtype=np.int32)
    for row, held in zip(out, rows, strict=True):
        row[: len(held)] = held
    return out


class Diversity:
    """Scores given the slots before; called with the prefix grown by one at a time.

    Args:
        scores: of the candidates, float64[n] or [heads, n]; what is only a width (LinUCB's second row) is left alone.
        vectors: normalised, float32[n, d].
        weight: of likeness against score, in [0, 1).
        slots: of the slate: the spread is measured over three times as many candidates.
        rows: of ``scores`` that are scores; all when not given.
        steps: likeness is rounded to so many steps, so that what was gone by can be logged in a byte a candidate; 0
            leaves it as it is.
    """

    def __init__(
        self, scores: Floats, vectors: Vectors, weight: float, slots: int, *, rows: int | None = None,
        steps: int = 0,
    ) -> None:  # fmt: skip
        self._scores, self._vectors, self._rows, self._steps = scores, vectors, rows, steps
        self.penalty = penalty_of(scores[0] if scores.ndim == 2 else scores, weight, slots)
        self._nearest = np.zeros(scores.shape[-1], dtype=np.float64)
        self.likeness: list[NDArray[np.uint8]] = []  # from the second slot on
        self._seen = 0

    def __call__(self, chosen: Sequence[int]) -> Floats:
        """The scores to go by, float64 as given."""
        for place in chosen[self._seen :]:
            np.maximum(self._nearest, self._vectors @ self._vectors[place], out=self._nearest)
        self._seen = len(chosen)
        if not self._seen or not self.penalty:
            return self._scores
        out: Floats = self._scores - self.penalty * self._likeness()
        if self._rows is not None:
            out[self._rows :] = self._scores[self._rows :]
        return out

    def _likeness(self) -> Floats:
        """Of each candidate to the nearest slot above; its steps are kept in ``likeness``, one row a slot."""
        if not self._steps:
            return self._nearest
        out, steps = stepped(self._nearest, self._steps)
        self.likeness.append(steps)
        return out


class TagCap:
    """Which candidates may come next when no tag may stand in more than ``most`` slots.

    Where the cap would end the slate early it is lifted: a full slate is worth more than the rule.
    """

    def __init__(self, catalog: Catalog, c: Candidates, most: int) -> None:
        self._tags = [catalog.tag_numbers(i) for i in c.ids.tolist()]
        self._most = most
        self._counts: Counter[int] = Counter()
        self._free = np.ones(len(c.ids), dtype=np.bool_)
        self._seen = 0

    def __call__(self, chosen: Sequence[int]) -> Places:
        """Places of candidates that are eligible given those chosen."""
        for place in chosen[self._seen :]:
            self._counts.update(self._tags[place])
            self._free[place] = False
        self._seen = len(chosen)
        full = {tag for tag, n in self._counts.items() if n >= self._most}
        left = np.flatnonzero(self._free)
        if not full:
            return left
        able = [k for k in left.tolist() if full.isdisjoint(self._tags[k])]
        return np.array(able, dtype=np.intp) if able else left
