"""Forward decay: sums that fade with time, and yet only ever grow (Cormode, Shkapenyuk, Srivastava, Xu, ICDE 2009).

An event at ``t`` adds ``value * 2 ** ((t - landmark) / half_life)``; a sum read at ``now`` is scaled by
``2 ** (-(now - landmark) / half_life)``. What is stored is a plain sum, so order does not matter, late events land
right, partial sums of many writers add up, and a Redis sorted set filled with ZINCRBY needs no sweep.

A double overflows after 1,024 half-lives, so landmarks lie on a fixed grid, ``WINDOW`` half-lives apart, as part of
the key. A stored sum is never rescaled; the current window and the one before it are kept. An event of an older
window weighs less than ``2 ** -256`` of a new one and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from online_models.base import Arrays

_T = TypeVar("_T")

WINDOW = 256
"""Half-lives from one landmark to the next."""


def landmark(ts: int, half_life: int) -> int:
    """The landmark of the window that holds ``ts``; both in ms. Event time is clamped by the caller.

    >>> landmark(1_000, half_life=10), landmark(2_560, half_life=10)
    (0, 2560)
    """
    width = WINDOW * half_life
    return ts // width * width


def previous(mark: int, half_life: int) -> int:
    """The landmark before ``mark``: windows older than this one are read no more.

    >>> previous(5_120, half_life=10)
    2560
    """
    return mark - WINDOW * half_life


def weight(ts: int, mark: int, half_life: int) -> float:
    """What an event at ``ts`` adds per unit of value to the sum at its landmark; from 1 to ``2 ** 256``.

    >>> weight(30, mark=0, half_life=10)
    8.0
    """
    return math.exp2((ts - mark) / half_life)


def scale(mark: int, now: int, half_life: int) -> float:
    """What a sum at ``mark`` is worth at ``now``: 1 at the landmark itself, 0 once its window is read no more.

    A reader whose clock stands before the landmark reads as of the landmark, so that nothing can overflow.

    >>> scale(0, now=30, half_life=10), scale(0, now=6_000, half_life=10), scale(2_560, now=0, half_life=10)
    (0.125, 0.0, 1.0)
    """
    if mark < previous(landmark(now, half_life), half_life):
        return 0.0
    return math.exp2(-max(now - mark, 0) / half_life)


def read(sums: Mapping[int, float], now: int, half_life: int) -> float:
    """The decayed value at ``now`` of sums by landmark.

    >>> sums = {0: weight(20, 0, 10) + weight(30, 0, 10)}
    >>> read(sums, now=30, half_life=10)
    1.5
    """
    return sum(value * scale(mark, now, half_life) for mark, value in sums.items())


def keep_newest(sums: dict[int, _T], half_life: int) -> None:
    """Drop windows older than the one before the newest, in place."""
    oldest = previous(max(sums), half_life) if sums else 0
    for mark in [mark for mark in sums if mark < oldest]:
        del sums[mark]


class DecayedCounter:
    """A sum that halves every ``half_life`` ms, exact to rounding whatever the order of events.

    Args:
        half_life: in ms, at least 1.

    >>> counter = DecayedCounter(half_life=1_000)
    >>> counter.update(2_000)
    >>> counter.update(1_000)
    >>> counter.get(now=2_000)
    1.5
    """

    __slots__ = ("half_life", "sums")

    def __init__(self, half_life: int) -> None:
        if half_life < 1:
            raise ValueError(f"half_life must be at least 1 ms, not {half_life}")
        self.half_life = half_life
        self.sums: dict[int, float] = {}

    def update(self, ts: int, value: float = 1.0) -> None:
        """Add ``value`` as of ``ts``, ms."""
        mark = landmark(ts, self.half_life)
        added = value * weight(ts, mark, self.half_life)
        if mark in self.sums:
            self.sums[mark] += added
            return
        self.sums[mark] = added
        keep_newest(self.sums, self.half_life)

    def get(self, now: int) -> float:
        """The value at ``now``, ms."""
        return read(self.sums, now, self.half_life)

    def merge(self, other: DecayedCounter) -> None:
        """Add what another counter of the same half-life holds."""
        if other.half_life != self.half_life:
            raise ValueError(f"half_life must be {self.half_life} ms as here, not {other.half_life}")
        for mark, value in other.sums.items():
            self.sums[mark] = self.sums.get(mark, 0.0) + value
        keep_newest(self.sums, self.half_life)

    def arrays(self) -> Arrays:
        """Landmarks and their sums."""
        marks = sorted(self.sums)
        return {
            "landmarks": np.array(marks, dtype=np.int64),
            "sums": np.array([self.sums[mark] for mark in marks], dtype=np.float64),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.sums = dict(zip(arrays["landmarks"].tolist(), arrays["sums"].tolist(), strict=True))
