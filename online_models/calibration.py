"""Probabilities one can multiply with: online Platt scaling per surface, and the report that proves it.

    p = sigmoid(a * logit + b + bend + place)

with ``a`` and ``b`` moved by stochastic gradient descent on log-loss (Platt, 1999), per surface; what a line cannot
mend, by height and by position, is added by :mod:`online_models.bends`. Expected calibration
error alone is passed by a constant; the report therefore compares predicted with observed per decile of prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from online_models.base import Arrays
from online_models.bends import WIDTH, Bends
from online_models.kernels import calibrating as kernel

_A = (0.2, 5.0)
_B = (-5.0, 5.0)
_CLIP = 15.0
SETTLED = 1_000
"""Examples until a line is where it belongs; what it lacks before is no bend."""


def sigmoid(logit: float) -> float:
    """The probability of a log-odds, without overflow.

    >>> sigmoid(0.0), sigmoid(-1e9) < 1e-6
    (0.5, True)
    """
    return 1.0 / (1.0 + math.exp(-max(-_CLIP, min(_CLIP, logit))))


class Calibration:
    """Two numbers and some sums a surface, moved by each closed impression.

    Feed it every closed impression, not the sampled negatives, with the head's own logit as served. The slope's
    gradient is divided by the running mean square of the logit, so that one rate fits both numbers.

    Args:
        rate: the step in the long run, in (0, 1]; it remembers about the last ``1 / rate`` impressions.
        max_surfaces: surfaces with numbers of their own, at least 1; those beyond share one pair.

    >>> calibration = Calibration()
    >>> for k in range(20_000):
    ...     calibration.update(logit=0.0, clicked=k % 10 == 0)
    >>> calibration.predict(np.array([0.0])).round(1).tolist()
    [0.1]
    """

    def __init__(self, rate: float = 0.003, max_surfaces: int = 64) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be in (0, 1], not {rate}")
        if max_surfaces < 1:
            raise ValueError(f"max_surfaces must be at least 1, not {max_surfaces}")
        self.rate, self.max_surfaces = rate, max_surfaces
        self._of: dict[str, list[float]] = {}  # surface -> a, b, mean square of the logit, examples
        self._bends: dict[str, Bends] = {}
        self.refused = 0

    def update(
        self, logit: float, clicked: bool, surface: str = "default", position: int | None = None
    ) -> None:
        """Learn one closed impression; a logit that is not finite is refused and counted."""
        if not math.isfinite(logit):
            self.refused += 1
            return
        name = self._place(surface)
        state = self._of.setdefault(name, [1.0, 0.0, 1.0, 0.0])
        a, b, square, n = state
        x = max(-_CLIP, min(_CLIP, logit))
        bends = self._bends.setdefault(name, Bends())
        if n >= SETTLED:
            bends.update(a * x + b, position, clicked)
        p = sigmoid(a * x + b)
        rate = max(self.rate, 1.0 / (n + 10.0))
        square += (x * x - square) * rate
        # errors of unit variance whatever the click rate; bounded, so that a rare surprise cannot throw it
        error = (p - clicked) / max(math.sqrt(p * (1.0 - p)), 0.05)
        b -= rate * error
        a -= rate * error * x / max(square + 1.0, 1.0)
        state[:] = [min(max(a, _A[0]), _A[1]), min(max(b, _B[0]), _B[1]), square, n + 1.0]

    def predict(
        self,
        logits: NDArray[np.float64],
        surface: str = "default",
        positions: int | NDArray[np.int_] | None = None,
    ) -> NDArray[np.float64]:
        """Calibrated probabilities of log-odds float64[n] at their positions; an unknown surface is left as it is."""
        a, b = self.get(surface)
        straight: NDArray[np.float64] = a * logits + b
        bends = self._bends.get(self._place(surface))
        if bends is not None:
            straight = straight + bends.of(straight, positions)
        return kernel.sigmoids(straight, _CLIP)

    def get(self, surface: str = "default") -> tuple[float, float]:
        """Slope and offset of a surface; (1, 0) if nothing was learnt."""
        a, b, _, _ = self._of.get(self._place(surface), (1.0, 0.0, 1.0, 0.0))
        return a, b

    def _place(self, surface: str) -> str:
        return surface if surface in self._of or len(self._of) < self.max_surfaces else "(other)"

    def arrays(self) -> Arrays:
        """All numbers, and the surfaces they belong to as JSON bytes."""
        names = sorted(self._of)
        values = np.array([self._of[name] for name in names], dtype=np.float64).reshape(-1, 4)
        sums = np.array([self._bends[name].array() for name in names]).reshape(len(names), WIDTH, 2)
        return {
            "surfaces": np.frombuffer(orjson.dumps(names), dtype=np.uint8), "values": values, "bends": sums,
        }  # fmt: skip

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        names = orjson.loads(arrays["surfaces"].tobytes())
        self._of = dict(zip(names, arrays["values"].tolist(), strict=True))
        self._bends = {name: Bends() for name in names}
        for name, sums in zip(names, arrays.get("bends", ()), strict=False):  # older states hold none
            self._bends[name].load(sums)


def combined(told: Iterable[Arrays]) -> Arrays:
    """What several learners' :meth:`Calibration.arrays` say together: by surface their mean, weighted by examples.

    A learner's line remembers about a thousand impressions, so more examples than that weigh no more. Sums add up.

    >>> one, other = Calibration(), Calibration()
    >>> one.update(0.0, True), other.update(0.0, True)
    (None, None)
    >>> combined([one.arrays(), other.arrays()])["values"].round(3).tolist() == one.arrays()["values"].round(3).tolist()
    True
    """
    rows: dict[str, list[NDArray[np.float64]]] = {}
    sums: dict[str, NDArray[np.float64]] = {}
    for arrays in told:
        named = orjson.loads(arrays["surfaces"].tobytes())
        for name, row in zip(named, arrays["values"], strict=True):
            rows.setdefault(name, []).append(row)
        for name, of in zip(named, arrays.get("bends", ()), strict=False):
            sums[name] = sums.get(name, 0.0) + of
    names = sorted(rows)
    means = [
        np.average(rows[n], axis=0, weights=[min(row[3], 1_000.0) + 1e-9 for row in rows[n]]) for n in names
    ]
    return {
        "surfaces": np.frombuffer(orjson.dumps(names), dtype=np.uint8),
        "values": np.array(means, dtype=np.float64).reshape(-1, 4),
        "bends": np.array([sums.get(name, Bends().array()) for name in names]).reshape(len(names), WIDTH, 2),
    }


@dataclass(frozen=True, slots=True)
class Bucket:
    """One decile of predictions."""

    n: int
    predicted: float
    observed: float

    @property
    def ratio(self) -> float | None:
        """Predicted over observed; ``None`` without a click."""
        return self.predicted / self.observed if self.observed else None


class CalibrationReport:
    """Predicted against observed, overall and per decile of prediction, from a fine histogram of log-odds.

    Args:
        cells: of the histogram between a probability of 3e-7 and its complement, at least 10.

    >>> report = CalibrationReport()
    >>> rng = np.random.default_rng(0)
    >>> p = rng.beta(1, 9, 50_000)
    >>> report.update_many(p, rng.random(50_000) < p)
    >>> 0.95 < report.overall().ratio < 1.05, len(report.deciles())
    (True, 10)
    """

    def __init__(self, cells: int = 400) -> None:
        if cells < 10:
            raise ValueError(f"cells must be at least 10, not {cells}")
        self.cells = cells
        self._sums = np.zeros((cells, 3))  # examples, predicted, clicks

    def update_many(self, probability: NDArray[np.float64], clicked: NDArray[np.bool_]) -> None:
        """Take probabilities as served with what came of them; those outside 0..1 are left out."""
        valid = (probability >= 0.0) & (probability <= 1.0)
        p, y = probability[valid], clicked[valid]
        inside = np.clip(p, 3.1e-7, 1 - 3.1e-7)
        logit = np.log(inside / (1 - inside))
        cell = np.clip((logit + _CLIP) / (2 * _CLIP) * self.cells, 0, self.cells - 1).astype(np.int64)
        for column, values in enumerate((np.ones(len(p)), p, y.astype(np.float64))):
            self._sums[:, column] += np.bincount(cell, weights=values, minlength=self.cells)

    def overall(self) -> Bucket:
        """All predictions as one bucket."""
        return _bucket(self._sums)

    def deciles(self, parts: int = 10) -> list[Bucket]:
        """Buckets of about equal size, lowest predictions first; a cell is never split, so there may be fewer."""
        total = self._sums[:, 0].sum()
        if not total:
            return []
        middle = np.cumsum(self._sums[:, 0]) - self._sums[:, 0] / 2
        part = np.minimum((middle / total * parts).astype(np.int64), parts - 1)
        buckets = [_bucket(self._sums[part == k]) for k in range(parts)]
        return [bucket for bucket in buckets if bucket.n]

    def arrays(self) -> Arrays:
        """The histogram."""
        return {"sums": self._sums.copy()}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self._sums = arrays["sums"].astype(np.float64)
        self.cells = len(self._sums)


def _bucket(sums: NDArray[np.float64]) -> Bucket:
    n, predicted, clicks = sums.sum(axis=0).tolist()
    return Bucket(int(n), predicted / max(n, 1.0), clicks / max(n, 1.0))
