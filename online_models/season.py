"""The wave of the day: what a series usually is at this hour, learnt from the same hour of past days.

An hour is a mean over past days that fades, drawn towards the mean of the day as long as it rests on little; in between
hours it is interpolated. Days of the week are not told apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays

HOUR_MS = 3_600_000
HOURS = 24


class DailyProfile:
    """Means by hour of the day (UTC).

    Args:
        fade: what is left of an hour's weight after a day, in (0, 1).
        prior: sum of values (clicks, of a click rate) at which an hour is believed as much as the mean, above 0.

    >>> profile = DailyProfile()
    >>> for hour in range(49):
    ...     profile.update(np.full(1_000, 0.2 if hour % 24 < 12 else 0.1), ts=hour * HOUR_MS)
    >>> profile.ready, [round(profile.expected(hour * HOUR_MS + HOUR_MS // 2), 2) for hour in (53, 66)]
    (True, [0.2, 0.1])
    """

    def __init__(self, *, fade: float = 0.85, prior: float = 20.0) -> None:
        if not 0.0 < fade < 1.0 or not prior > 0.0:
            raise ValueError("fade must be in (0, 1), prior above 0")
        self.fade, self.prior = fade, prior
        self._sums = np.zeros(HOURS)
        self._counts = np.zeros(HOURS)
        self._began = self._hour = -1  # hours since the epoch: the first, and the one that is being summed
        self._now = np.zeros(2)  # sum and count of it
        self._means = np.zeros(HOURS)

    @property
    def ready(self) -> bool:
        """Whether a day was seen."""
        return bool(self._means[0] > 0.0)

    @property
    def days(self) -> int:
        """Days since the first value."""
        return (self._hour - self._began) // HOURS

    def update(self, values: NDArray[np.float64], ts: int) -> None:
        """Values of a moment, ms since the epoch; an hour counts once it is over."""
        hour = ts // HOUR_MS
        if self._began < 0:
            self._began = self._hour = hour
        elif hour > self._hour:
            self._close(hour)
        self._now += (float(values.sum()), float(len(values)))

    def expected(self, ts: int) -> float:
        """The mean of a value of this moment; 0 before a day was seen."""
        at = (ts / HOUR_MS - 0.5) % HOURS
        low = int(at) % HOURS
        here, there = self._means[low], self._means[(low + 1) % HOURS]
        return float(here + (at - int(at)) * (there - here))

    def shift(self, ratio: float) -> None:
        """The series has moved for good: every hour is expected to be so many times as high from now on."""
        self._sums *= ratio
        self._now[0] *= ratio
        self._work_out()

    def _close(self, hour: int) -> None:
        at, days = self._hour % HOURS, (hour - self._hour) // HOURS
        self._sums[at] = self.fade * self._sums[at] + self._now[0]
        self._counts[at] = self.fade * self._counts[at] + self._now[1]
        if days:
            self._sums, self._counts = self._sums * self.fade**days, self._counts * self.fade**days
        self._hour, self._now = hour, np.zeros(2)
        self._work_out()

    def _work_out(self) -> None:
        total, count = float(self._sums.sum()), float(self._counts.sum())
        if total > 0.0 and (self.ready or self._hour - self._began >= HOURS):
            self._means = (self._sums + self.prior) / (self._counts + self.prior * count / total)

    def arrays(self) -> Arrays:
        """What a restart needs."""
        return {"season": np.concatenate([self._sums, self._counts, [self._began, self._hour], self._now])}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave; nothing where it is missing."""
        held = arrays.get("season")
        if held is None or len(held) != 2 * HOURS + 4:
            return
        self._sums, self._counts = held[:HOURS].astype(np.float64), held[HOURS : 2 * HOURS].astype(np.float64)
        self._began, self._hour = int(held[-4]), int(held[-3])
        self._now = held[-2:].astype(np.float64)
        self._work_out()
