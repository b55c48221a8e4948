"""What the log of randomised requests holds, once read: slates with their draws and clicks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSlate:
    """A slate as drawn: per slot what could stand there, what was drawn, with which *conditional* propensity.

    ``chosen`` and ``eligible`` are indices into ``candidates``. ``free`` says that nothing but the draws before it
    kept a candidate out of any slot, and that every slot went by the same scores. ``rows`` are what Thompson sampling
    or LinUCB drew by, float64[rows, n]; with diversity slot ``k`` went by ``scores - taken[k]``.
    """

    request_id: str
    user_id: str
    candidates: tuple[str, ...]
    scores: Floats
    chosen: tuple[int, ...]
    eligible: tuple[Indices, ...]
    propensities: tuple[float, ...]
    clicks: tuple[bool, ...]
    policy: str = ""
    free: bool = True
    rows: Floats | None = None
    taken: Floats | None = None

    def scores_at(self, slot: int) -> Floats:
        """What a policy goes by in a slot, float64[n]."""
        return self.scores if self.taken is None else self.scores - self.taken[slot]

    def rows_at(self, slot: int, first: int | None = None) -> Floats:
        """The same of ``rows``; diversity takes from the ``first`` of them, by default from all."""
        if self.rows is None:
            raise ValueError("the log holds no rows of scores: it was not drawn by thompson or linucb")
        out = self.rows.copy()
        if self.taken is not None:
            out[:first] -= self.taken[slot]
        return out


@dataclass(frozen=True, slots=True)
class Log:
    """The slates that can be evaluated, and how many could not, by reason."""

    slates: tuple[LoggedSlate, ...]
    excluded: Counter[str] = field(default_factory=Counter)

    @property
    def clicks(self) -> int:
        """Clicks on the slates that can be evaluated."""
        return sum(sum(slate.clicks) for slate in self.slates)
