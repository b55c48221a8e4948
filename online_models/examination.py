"""How often each slot is looked at, told apart from how good its items are, by random swaps of neighbours.

Under the position-based model a click is ``examined(slot) * attractive(item)``. A ranker that is nearly deterministic
puts the best items on top, so clicks by slot confound the two. A few requests swap one random adjacent pair: the same
two items are then seen in both orders, and over swapped (S) and plain (U) requests

    e[k+1] / e[k] = (click rate at k+1 in U + in S) / (click rate at k in U + in S)

whatever the items (Joachims, Swaminathan and Schnabel, WSDM 2017, with adjacent swaps). Each ratio is drawn towards a
power law of the position fitted to all of them, as far as its clicks are few (empirical Bayes).
"""

from __future__ import annotations

import numpy as np
import orjson
from numpy.typing import NDArray

from online_models.base import Arrays

_PLAIN, _UPPER, _LOWER = 0, 1, 2


class Examination:
    """Examination per slot and surface, 1 for the top slot.

    Feed it closed impressions of greedy slates, swapped and plain, not the randomised ones.

    Args:
        slots: positions told apart, at least 2; deeper ones read as the last.
        max_surfaces: surfaces held, at least 1; those beyond are left out and counted in ``overflow``.

    >>> examination = Examination(slots=2)
    >>> examination.add("home", position=0, shown=100_000, clicks=10_000)
    >>> examination.add("home", position=1, shown=100_000, clicks=2_000)
    >>> examination.add("home", position=0, shown=10_000, clicks=400, swapped=0)
    >>> examination.add("home", position=1, shown=10_000, clicks=500, swapped=0)
    >>> examination.curve("home").round(2).tolist()
    [1.0, 0.5]
    """

    def __init__(self, slots: int = 20, max_surfaces: int = 64) -> None:
        if slots < 2 or max_surfaces < 1:
            raise ValueError(f"slots must be at least 2 and max_surfaces at least 1: {slots}, {max_surfaces}")
        self.slots, self.max_surfaces = slots, max_surfaces
        self.overflow = 0
        self._of: dict[str, NDArray[np.int64]] = {}  # [slot, plain | upper | lower of a swap, shown | clicks]

    def update(self, surface: str, position: int, clicked: bool, swapped: int | None = None) -> None:
        """Count one closed impression; ``swapped`` is the upper slot of the pair its request swapped, if any."""
        self.add(surface, position, 1, int(clicked), swapped)

    def add(self, surface: str, position: int, shown: int, clicks: int, swapped: int | None = None) -> None:
        """Count several; slots of a swapped request outside its pair tell nothing more and are left out."""
        role = _PLAIN if swapped is None else position - swapped + _UPPER
        if not 0 <= position < self.slots or (swapped is not None and role not in (_UPPER, _LOWER)):
            return
        if surface not in self._of and len(self._of) >= self.max_surfaces:
            self.overflow += 1
            return
        counts = self._of.setdefault(surface, np.zeros((self.slots, 3, 2), dtype=np.int64))
        counts[position, role] += (shown, clicks)

    def curve(self, surface: str) -> NDArray[np.float64]:
        """Examination of each slot relative to the top one, float64[slots]; all 1 while nothing is known."""
        counts = self._of.get(surface)
        if counts is None:
            return np.ones(self.slots)
        ratios, variances = _log_ratios(counts)
        return np.exp(np.concatenate(([0.0], np.cumsum(_shrunk(ratios, variances)))))

    def arrays(self) -> Arrays:
        """Counts by surface; the surfaces as JSON bytes."""
        names = sorted(self._of)
        counts = [self._of[name] for name in names]
        return {
            "surfaces": np.frombuffer(orjson.dumps(names), dtype=np.uint8),
            "counts": np.stack(counts) if counts else np.zeros((0, self.slots, 3, 2), dtype=np.int64),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        names = orjson.loads(arrays["surfaces"].tobytes())
        self._of = dict(zip(names, arrays["counts"].astype(np.int64), strict=True))
        self.slots = arrays["counts"].shape[1]


def _log_ratios(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log of e[k+1] / e[k] and its variance; infinite where a pair was never swapped."""
    rate = (counts[:, :, 1] + 0.5) / (counts[:, :, 0] + 1.0)
    spread = rate * rate / (counts[:, :, 1] + 0.5)  # a rate's variance, clicks being Poisson
    upper = rate[:-1, _PLAIN] + rate[:-1, _UPPER]
    lower = rate[1:, _PLAIN] + rate[1:, _LOWER]
    variance = (spread[:-1, _PLAIN] + spread[:-1, _UPPER]) / upper**2
    variance += (spread[1:, _PLAIN] + spread[1:, _LOWER]) / lower**2
    swapped = (counts[:-1, _UPPER, 0] > 0) & (counts[1:, _LOWER, 0] > 0)
    return np.log(lower / upper), np.where(swapped, variance, np.inf)


def _shrunk(ratios: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = 1.0 / variances
    if not weight.any():
        return np.zeros(len(ratios))
    steps = -np.diff(np.log(np.arange(1, len(ratios) + 2)))  # a power law's ratios, per unit of its exponent
    exponent = (weight * steps * ratios).sum() / (weight * steps * steps).sum()
    law = exponent * steps
    excess = (weight * (ratios - law) ** 2).sum() - max((weight > 0).sum() - 1, 1)
    between = max(
        excess / weight.sum(), 0.0
    )  # variance of the true ratios around the law (DerSimonian, Laird, 1986)
    trust = between / (between + np.where(weight > 0, variances, 1.0)) * (weight > 0)
    out: NDArray[np.float64] = law + trust * (ratios - law)
    return out
