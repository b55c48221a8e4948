"""Population stability index: whether features are still distributed as they were.

    PSI = sum over bins of (current - reference) * ln(current / reference)

By the field's rule of thumb 0.1 is a shift to look at and 0.25 one to act on (Siddiqi, Credit Risk Scorecards, 2006).
Without any shift the index times ``n * m / (n + m)`` is about chi-square with ``bins - 1`` degrees of freedom, so for
small windows the threshold is raised to what chance alone would exceed in one of a million looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays

_CHANCE = 1e-6


def psi(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """The index between two histograms of counts over the same bins; half a count is added to each bin.

    >>> psi(np.array([50.0, 50.0]), np.array([50.0, 50.0]))
    0.0
    >>> round(psi(np.array([500.0, 500.0]), np.array([200.0, 800.0])), 2)
    0.41
    """
    p = (reference + 0.5) / (reference + 0.5).sum()
    q = (current + 0.5) / (current + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())


def chance_level(bins: int, reference: int, current: int, looks: int) -> float:
    """What the index exceeds by chance in one of a million looks, shared by ``looks`` features at once.

    The chi-square quantile is Wilson and Hilferty's (1931).

    >>> round(chance_level(bins=10, reference=10_000, current=1_000, looks=40), 3)
    0.061
    """
    degrees = max(bins - 1, 1)
    z = NormalDist().inv_cdf(1 - _CHANCE / max(looks, 1))
    quantile = degrees * (1 - 2 / (9 * degrees) + z * (2 / (9 * degrees)) ** 0.5) ** 3
    return float(quantile * (1 / reference + 1 / current))


class StabilityMonitor:
    """Compares windows of rows with a reference window, feature by feature.

    Bins are deciles of the reference; a feature with few values has as many bins as values.

    Args:
        features: their names, in the order of the rows.
        reference: rows that make the reference, at least 100.
        window: rows of one look, at least 100.
        bins: at most this many a feature, at least 2.

    >>> monitor = StabilityMonitor(["x"], reference=100, window=100)
    >>> rows = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    >>> monitor.update(rows), monitor.update(rows + 5)[0][1] > 1
    ([], True)
    """

    def __init__(
        self, features: Sequence[str], *, reference: int = 10_000, window: int = 5_000, bins: int = 10
    ) -> None:
        if reference < 100 or window < 100 or bins < 2:
            raise ValueError("reference and window must be at least 100 rows, bins at least 2")
        self.features = tuple(features)
        self.reference, self.window, self.bins = reference, window, bins
        self._held: list[NDArray[np.float32]] = []
        self._rows = 0  # rows in _held
        self._edges: list[NDArray[np.float32]] = []
        self._counts: list[NDArray[np.float64]] = []

    @property
    def ready(self) -> bool:
        """Whether the reference is complete."""
        return bool(self._edges)

    def update(self, rows: NDArray[np.float32]) -> list[tuple[str, float, float]]:
        """Take rows float32[n, F]; at the end of a window (name, index, chance level) per feature, else nothing.

        Rows with values that are not finite count in the outermost bins. A window ends with the batch that fills it.
        """
        self._held.append(np.nan_to_num(rows, nan=np.inf))
        self._rows += len(rows)
        if self._rows < (self.window if self.ready else self.reference):
            return []
        block = np.concatenate(self._held)
        self._held, self._rows = [], 0
        if not self.ready:
            self._learn_reference(block)
            return []
        return self._compare(block)

    def adopt(self, rows: NDArray[np.float32]) -> None:
        """Make these rows the reference from now on, as after a shift that is here to stay."""
        self._edges, self._counts = [], []
        self._learn_reference(np.nan_to_num(rows, nan=np.inf))

    def forget(self) -> None:
        """Begin a new reference with the next row."""
        self._edges, self._counts, self._held, self._rows = [], [], [], 0

    def _learn_reference(self, block: NDArray[np.float32]) -> None:
        shares = np.linspace(0, 1, self.bins + 1)[1:-1]
        for column in block.T:
            edges = np.unique(np.quantile(column, shares, method="lower"))
            self._edges.append(edges)
            self._counts.append(_histogram(column, edges))

    def _compare(self, block: NDArray[np.float32]) -> list[tuple[str, float, float]]:
        out = []
        for k, name in enumerate(self.features):
            reference = self._counts[k]
            value = psi(reference, _histogram(block[:, k], self._edges[k]))
            level = chance_level(len(reference), int(reference.sum()), len(block), len(self.features))
            out.append((name, value, level))
        return out

    def arrays(self) -> Arrays:
        """Edges and counts of the reference; the window at hand is not kept."""
        out: Arrays = {f"edges:{k}": edges for k, edges in enumerate(self._edges)}
        return out | {f"counts:{k}": counts for k, counts in enumerate(self._counts)}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave; of another number of features it begins anew."""
        self.forget()
        if len(arrays) == 2 * len(self.features):
            self._edges = [arrays[f"edges:{k}"].astype(np.float32) for k in range(len(self.features))]
            self._counts = [arrays[f"counts:{k}"].astype(np.float64) for k in range(len(self.features))]


def _histogram(column: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float64]:
    where = np.searchsorted(edges, column, side="left")
    return np.bincount(where, minlength=len(edges) + 1).astype(np.float64)
