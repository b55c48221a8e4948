"""Drift detectors on what is measured before it is learnt, and the signals they give.

Click rate and log-loss read closed impressions only, in impression order, with the probability as served: positives
come up to a window earlier than negatives and would look like drift. Once a day is known, a series is compared with
the same hour of past days (:mod:`online_models.same_hour`). Until then ADWIN (Bifet and Gavalda, SIAM 2007) decides;
Page-Hinkley, which cries wolf more often, has a second vote that raises the severity. What chance is allowed is divided
by the number of series (Bonferroni), one signal is given per cause and quiet period, and what is held back is counted.

Delays and false alarms: ``docs/runbooks/model-drift.md``, by ``python -m bench.drift``. A restart goes on with what was
known of the days, or in the first replays the last ``keep`` values of each series.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from river import drift

from online_models.base import Arrays
from online_models.drift_cuts import best_cut, cut_bound, far_apart, shapes
from online_models.drift_signal import RUNBOOK, DriftSignal
from online_models.same_hour import Moved, SameHour

Direction = Literal["up", "down", "both"]
LARGE = 1.5
"""A mean that moved by this factor is critical whether or not the second vote agrees."""
MATTERS = 1.2
"""So is one that moved by this factor from what it is at the same hour of other days."""
ANEW_MS = 21_600_000
"""That far the first day's mean must move within so long: a quarter of a day's wave is not so steep."""
RARELY = 1e-7
"""False alarms of all series of a look in so many expected clicks, once past days are known."""


class SeriesDetector:
    """ADWIN with a second vote, over one series of values between 0 and 1.

    Args:
        name: of the series; ``cause`` groups series that fail together.
        delta: ADWIN's confidence, in (0, 1); River's 0.002 gave no false alarm in a million Bernoulli values.
        direction: which change of the mean gives a signal; the other way only restarts the detector.
        grace: values before the first signal, at least 0.
        keep: the latest values kept for a restart, at least 1.
        chance: of :class:`online_models.same_hour.SameHour`.

    In its first day a series is watched by ADWIN, which takes the wave of the day for a change: only a mean that moved
    by :data:`~online_models.drift_cuts.FIRST_DAY` gives a signal. From then on it is compared with the same hour of
    past days.

    >>> detector = SeriesDetector("click_rate", delta=0.002)
    >>> rng = np.random.default_rng(0)
    >>> calm = (rng.random(20_000) < 0.05).astype(float)
    >>> detector.update(calm, ts=1), detector.update((rng.random(5_000) < 0.2).astype(float), ts=2).severity
    (None, 'critical')
    """

    def __init__(
        self,
        name: str,
        *,
        cause: str = "",
        delta: float = 0.002,
        direction: Direction = "both",
        grace: int = 1_000,
        keep: int = 50_000,
        chance: float = RARELY,
    ) -> None:
        if not 0 < delta < 1:
            raise ValueError(f"delta must be in (0, 1), not {delta}")
        if grace < 0 or keep < 1:
            raise ValueError("grace must be at least 0 and keep at least 1")
        self.name, self.cause = name, cause or name
        self.delta, self.direction, self.grace, self.keep = delta, direction, grace, keep
        self._adwin = drift.ADWIN(delta=delta)
        self._second = _second_vote()
        self._since = 0  # when ADWIN began, ms
        self._recent: list[NDArray[np.float32]] = []
        self.same_hour = SameHour(chance=chance)
        self.seen = 0
        self._voted = -(10**12)

    def update(self, values: NDArray[np.float64], ts: int) -> DriftSignal | None:
        """Take a batch of values in order; the first change found, if it is one that matters."""
        bounded = np.clip(np.nan_to_num(values), 0.0, 1.0)
        known = self.same_hour.ready
        moved = self.same_hour.update(bounded, ts)
        if not known:
            return self._first_day(bounded, ts)
        self._remember(bounded)
        self.seen += len(bounded)
        return self._of(moved, ts) if moved is not None else None

    def _of(self, moved: Moved, ts: int) -> DriftSignal | None:
        """A series that is not what it is at this hour of other days."""
        if self.direction not in ("both", "up" if moved.ratio > 1.0 else "down"):
            return None
        recent = np.concatenate(self._recent).astype(np.float64)
        newer = recent[-moved.values :]
        return DriftSignal(
            name=self.name,
            cause=self.cause,
            detector="same_hour",
            statistic=abs(moved.seen - moved.expected),
            threshold=moved.bound,
            window=moved.values,
            severity="warning" if 1 / MATTERS < moved.ratio < MATTERS else "critical",
            runbook=RUNBOOK,
            ts=ts,
            evidence={
                "before": moved.expected,
                "after": moved.seen,
                "newer": moved.values,
                "seen": self.seen,
            },
            histogram=shapes(recent[: -moved.values], newer),
        )

    def _first_day(self, values: NDArray[np.float64], ts: int) -> DriftSignal | None:
        """Values between 0 and 1, by ADWIN."""
        self._remember(values)
        if ts - self._since >= ANEW_MS:
            self._adwin, self._since = drift.ADWIN(delta=self.delta), ts
        signal: DriftSignal | None = None
        deviation = self._deviation()
        adwin, second = self._adwin, self._second
        width, start = adwin.width, 0
        for k, value in enumerate(values.tolist()):
            if deviation:
                second.update(value / deviation)
                if second.drift_detected:
                    self._voted = self.seen + k
            adwin.update(value)
            if adwin.drift_detected:
                if signal is None:
                    signal = self._signal(int(width) + k + 1 - start, len(values) - k - 1, self.seen + k, ts)
                width, start = 0, k + 1  # River's detector begins anew after a change
        self.seen += len(values)
        return signal

    def _signal(self, window: int, unread: int, seen: int, ts: int) -> DriftSignal | None:
        """Say where the window of ADWIN broke: ADWIN itself only says that it did."""
        recent = np.concatenate(self._recent)
        held = recent[max(0, len(recent) - unread - window) : len(recent) - unread].astype(np.float64)
        cut = best_cut(held)
        before, after = float(held[:cut].mean()), float(held[cut:].mean())
        wanted = self.direction == "both" or (self.direction == "up") == (after > before)
        if not wanted or seen < self.grace or not far_apart(held, cut):
            return None
        confirmed = seen - self._voted <= 2 * max(len(held) - cut, 1_000)
        large = not 1 / LARGE < after / max(before, 1e-12) < LARGE
        return DriftSignal(
            name=self.name,
            cause=self.cause,
            detector="adwin+page_hinkley" if confirmed else "adwin",
            statistic=abs(after - before),
            threshold=cut_bound(float(held.var()), cut, len(held) - cut, self.delta),
            window=len(held),
            severity="critical" if confirmed or large else "warning",
            runbook=RUNBOOK,
            ts=ts,
            evidence={"before": before, "after": after, "older": cut, "newer": len(held) - cut, "seen": seen},
            histogram=shapes(held[:cut], held[cut:]),
        )

    def _deviation(self) -> float:
        """The scale on which Page-Hinkley works; none until there is enough to tell."""
        width = self._adwin.width
        return math.sqrt(max(self._adwin.variance / width, 1e-9)) if width >= 300 else 0.0

    def _remember(self, values: NDArray[np.float64]) -> None:
        self._recent.append(values.astype(np.float32))
        if len(self._recent) > 256:
            self._recent = [np.concatenate(self._recent)[-self.keep :]]

    def arrays(self) -> Arrays:
        """The latest values, float32[at most keep]."""
        recent = np.concatenate(self._recent)[-self.keep :] if self._recent else np.zeros(0, np.float32)
        return {"recent": recent, "seen": np.array([self.seen], dtype=np.int64), **self.same_hour.arrays()}

    def load(self, arrays: Arrays) -> None:
        """Replay what :meth:`arrays` kept; changes found on the way have been told before."""
        self._adwin, self._second, self._recent = drift.ADWIN(delta=self.delta), _second_vote(), []
        self.same_hour.load(arrays)
        if not self.same_hour.ready:
            self._first_day(arrays["recent"].astype(np.float64), ts=0)
        self._recent = [arrays["recent"]]
        self.seen, self._voted = int(arrays["seen"][0]), -(10**12)


def _second_vote() -> drift.PageHinkley:
    # in standard deviations: sees a shift above 0.025 of one; about one false vote in a million values
    return drift.PageHinkley(min_instances=100, delta=0.025, threshold=150.0, alpha=1 - 1e-5)
