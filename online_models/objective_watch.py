"""How good the heads of other actions are, and whether one drifts: of each label, before it is learnt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from online_models.drift import SeriesDetector
from online_models.drift_cuts import scaled_log_loss
from online_models.drift_monitor import Hushed
from online_models.drift_signal import DriftSignal
from online_models.recovery import Recovery

WINDOW = 10_000.0
"""Closed slots that quality looks back on, fading."""
_BATCH = 100
_DELTA = 0.002
_EPS = 1e-9


@dataclass(frozen=True, slots=True)
class ObjectiveQuality:
    """What the last closed slots say; ``normalised_entropy`` is None while all or none led to the action."""

    n: float
    rate: float
    predicted: float
    log_loss: float

    @property
    def calibration(self) -> float | None:
        """Predicted over observed; None while nothing was observed."""
        return self.predicted / self.rate if self.rate > 0 else None

    @property
    def normalised_entropy(self) -> float | None:
        """Log-loss over that of the mean rate; below 1 is skill."""
        if not 0.0 < self.rate < 1.0:
            return None
        return self.log_loss / _cross_entropy(self.rate, self.rate)


@dataclass(slots=True)
class _Series:
    n: float = 0.0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(3))
    came: list[float] = field(default_factory=list)
    foretold: list[float] = field(default_factory=list)


class ObjectiveWatch:
    """Quality and drift by action, fed by :meth:`observe`.

    Slots that were not learnt are not seen; those that were stand for them (``slots``).

    >>> watch = ObjectiveWatch(["purchase"])
    >>> for k in range(100):
    ...     watch.observe("purchase", float(k % 20 == 0), 0.05, 1.0, ts=k)
    >>> told = watch.get("purchase")
    >>> round(told.rate, 2), round(told.calibration, 2)
    (0.05, 1.0)
    """

    def __init__(self, actions: Iterable[str]) -> None:
        self._of = {action: _Series() for action in actions}
        delta = _DELTA / max(2 * len(self._of), 1)
        self._detectors = {
            action: (
                SeriesDetector(f"objective_rate:{action}", cause=f"objective:{action}", delta=delta),
                SeriesDetector(
                    f"objective_loss:{action}", cause=f"objective:{action}", delta=delta, direction="up"
                ),
            )
            for action in self._of
        }
        self.hushed, self.recovery = Hushed(), Recovery()
        self.corrections: Counter[str] = Counter()
        self._signals: list[DriftSignal] = []

    def get(self, action: str) -> ObjectiveQuality:
        """What is known of one action."""
        of = self._of[action]
        rate, predicted, loss = (of.sums / max(of.n, 1.0)).tolist()
        return ObjectiveQuality(of.n, rate, predicted, loss)

    def observe(self, action: str, came: float, predicted: float, slots: float, ts: int) -> None:
        """A slot closed with or without the action, foretold with so much; it stands for so many ``slots``."""
        of = self._of[action]
        fade = math.exp(-slots / WINDOW)
        of.sums *= fade
        of.sums += slots * np.array([came, predicted, _cross_entropy(came, predicted)])
        of.n = of.n * fade + slots
        of.came += [came] * round(slots)
        of.foretold += [predicted] * round(slots)
        if len(of.came) >= _BATCH:
            self._look(action, of, ts)

    def _look(self, action: str, of: _Series, ts: int) -> None:
        came, foretold = np.array(of.came), np.array(of.foretold)
        of.came, of.foretold = [], []
        rate, loss = self._detectors[action]
        found: list[DriftSignal] = []
        for detector, values in ((rate, came), (loss, scaled_log_loss(came > 0, foretold))):
            signal = detector.update(values, ts)
            found += [signal] if signal is not None else []
            self._signals += self.recovery.watch(detector.name, values, ts, changed=signal is not None)
        told = self.hushed.admit(found)
        self.recovery.told(told)
        self._signals += told

    def take_signals(self) -> list[DriftSignal]:
        """Drift signals since the last call."""
        signals, self._signals = self._signals, []
        return signals


def _cross_entropy(came: float, predicted: float) -> float:
    p = min(max(predicted, _EPS), 1.0 - _EPS)
    return -(came * math.log(p) + (1.0 - came) * math.log1p(-p))
