"""Is a series as it is at this hour of other days? A likelihood ratio, added up until it speaks (Page, 1954).

With ``E`` what the hour of past days lets expect of some values and ``S`` their sum, the evidence for a mean that is by
the share ``d`` lower, or higher, than usual grows by

    (S ln(1 - d) + d E) / phi        (S ln(1 + d) - d E) / phi

and never falls below 0; ``phi`` is the variance over the mean as observed, 1 for rare clicks that are independent. The
log of what chance is allowed is the limit; of few past days less is believed: ``phi`` counts ``1 + 2 / days`` times.
Evidence for a change begins to grow at about half of ``d``: what differs by less, as one day does from another, or a
profile that is not quite right, adds up to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays
from online_models.season import DailyProfile


@dataclass(frozen=True, slots=True)
class Moved:
    """A mean that is not what it is at this hour: as expected and as seen, over so many values since it began."""

    expected: float
    seen: float
    values: int
    bound: float  # a difference that chance would not exceed

    @property
    def ratio(self) -> float:
        """Seen over expected."""
        return self.seen / max(self.expected, 1e-12)


class SameHour:
    """Evidence, one way and the other, that a series has left its wave.

    Args:
        share: the relative change looked for, in (0, 1).
        chance: false alarms allowed in so many expected clicks over ``phi``, in (0, 1).

    >>> rng = np.random.default_rng(0)
    >>> watch, found = SameHour(), []
    >>> for k in range(24 * 60 * 4):  # four days, a hundred impressions a minute; two days in, a fifth fewer clicks
    ...     rate = 0.05 * (1.0 + 0.3 * np.sin(2 * np.pi * k / 1_440)) * (0.8 if k >= 2_880 else 1.0)
    ...     moved = watch.update((rng.random(100) < rate).astype(float), ts=k * 60_000)
    ...     found += [(k, round(moved.ratio, 1))] if moved else []
    >>> found
    [(3212, 0.8)]
    """

    def __init__(self, *, share: float = 0.25, chance: float = 1e-6) -> None:
        if not 0.0 < share < 1.0 or not 0.0 < chance < 1.0:
            raise ValueError("share and chance must be in (0, 1)")
        self.share, self.limit = share, -math.log(chance)
        self.profile = DailyProfile()
        self._phi = 0.0
        self._blocks = 0
        self._evidence = np.zeros(2)  # of a fall, of a rise
        self._run = np.zeros((2, 3))  # since each was last 0: sum, expected, values

    @property
    def ready(self) -> bool:
        """Whether there are past days to compare with."""
        return self.profile.ready

    def update(self, values: NDArray[np.float64], ts: int) -> Moved | None:
        """Take values of a moment; a change, once it is sure. What moved is the usual from then on."""
        expected = self.profile.expected(ts) * len(values)
        self.profile.update(values, ts)
        if expected <= 0.0 or not len(values):
            return None
        total = float(values.sum())
        phi = self._dispersion(total, expected) * (1.0 + 2.0 / max(self.profile.days, 1))
        d = self.share
        grown = np.array([total * math.log(1.0 - d) + d * expected, total * math.log(1.0 + d) - d * expected])
        self._evidence += grown / phi
        self._run += (total, expected, len(values))
        calm = self._evidence <= 0.0
        self._evidence[calm], self._run[calm] = 0.0, 0.0
        way = int(np.argmax(self._evidence))
        return self._moved(way, phi) if self._evidence[way] > self.limit else None

    def _moved(self, way: int, phi: float) -> Moved:
        total, expected, n = self._run[way].tolist()
        usual = expected / n
        moved = Moved(usual, total / n, int(n), math.sqrt(2.0 * phi * usual * self.limit / n))
        self.profile.shift(self._to(moved.ratio))
        self._evidence[:], self._run[:] = 0.0, 0.0
        return moved

    def _to(self, ratio: float) -> float:
        """What an alarm is raised on lies further off than what follows it: go a part of the way."""
        nearer = 1.0 + self.share / 4.0
        return max(ratio, 0.05) * nearer if ratio < 1.0 else min(ratio, 20.0) / nearer

    def _dispersion(self, total: float, expected: float) -> float:
        """Variance over mean, as of the blocks before; one that stands out counts as three standard deviations."""
        here = (total - expected) ** 2 / expected
        before = self._phi if self._blocks >= 30 else max(self._phi, 1.0)
        kept = here if self._blocks < 30 else min(here, 9.0 * self._phi)
        self._blocks += 1
        self._phi += (kept - self._phi) / min(self._blocks, 2_000)
        return max(before, 1e-3)

    def arrays(self) -> Arrays:
        """What a restart needs."""
        state = np.array([self._phi, float(self._blocks), *self._evidence, *self._run.ravel()])
        return {"same_hour": state, **self.profile.arrays()}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave; nothing where it is missing."""
        held = arrays.get("same_hour")
        self.profile.load(arrays)
        if held is not None and len(held) == 10:
            self._phi, self._blocks = float(held[0]), int(held[1])
            self._evidence, self._run = (
                held[2:4].astype(np.float64),
                held[4:].reshape(2, 3).astype(np.float64),
            )
