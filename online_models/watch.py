"""What is measured of each labelled slot before it is learnt: quality, calibration and drift.

A click is a label at once, its neighbours without a click only when the window closes. Read as they come, every burst
of traffic would look like a rise of the click rate followed by a fall. Clicks are therefore held until the negatives
of that time have come by, so that all that follows reads closed impressions in the order they were shown.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from online_models.calibration import Calibration, CalibrationReport
from online_models.drift_monitor import DriftMonitor
from online_models.drift_signal import DriftSignal
from online_models.examination import Examination
from online_models.labels import Kind, Labelled
from online_models.metrics import ClickQuality
from online_models.ranker import ClickRanker


@dataclass(slots=True)
class _Batch:
    """Closed impressions of one surface, on their way to the detectors."""

    clicked: list[bool] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)


class QualityWatch:
    """Quality, calibration and drift of the click head, and how far down slates are looked at, fed by :meth:`observe`.

    Args:
        ranker: whose log-odds, before learning, the calibration maps to probabilities.
        monitor: the drift detectors; its features must be those of the ranker, or none.
        calibration, examination: moved by what is observed; of its own where not given.
        window: examples that :attr:`quality` looks back on, at least 2.
        batch: closed impressions of a surface that go to the detectors at once, at least 1.
        max_held: clicks held at most; beyond it the oldest goes on, at least 1.
        max_surfaces: surfaces with a quality and batch of their own; those beyond share one, at least 1.

    >>> ranker = ClickRanker(["x"])
    >>> watch = QualityWatch(ranker, DriftMonitor())
    >>> row = np.zeros(1, dtype=np.float32)
    >>> watch.observe(Labelled(1, Kind.POSITIVE, row, "s", 0, "home", 0.1, 1.0, ts=1_000), 0.1)
    >>> watch.held
    1
    >>> watch.observe(Labelled(2, Kind.NEGATIVE, row, "s", 1, "home", 0.1, 1.0, ts=2_000), 0.1)
    >>> watch.held, watch.quality["home"].get().n
    (0, 2)
    """

    def __init__(
        self,
        ranker: ClickRanker,
        monitor: DriftMonitor,
        *,
        calibration: Calibration | None = None,
        examination: Examination | None = None,
        window: int = 10_000,
        batch: int = 100,
        max_held: int = 20_000,
        max_surfaces: int = 16,
    ) -> None:
        if batch < 1 or max_held < 1 or max_surfaces < 1:
            raise ValueError("batch, max_held and max_surfaces must be at least 1")
        self.ranker, self.monitor = ranker, monitor
        self.calibration = calibration or Calibration()
        self.report = CalibrationReport()
        self.examination = examination or Examination()
        self.quality: dict[str, ClickQuality] = {}
        self.window, self.batch, self.max_held, self.max_surfaces = window, batch, max_held, max_surfaces
        self.corrections = 0
        self._clicks: list[tuple[int, int, Labelled, float, float]] = []  # a heap: when shown, arrival, ...
        self._arrivals = 0
        self._batches: dict[str, _Batch] = {}
        self._signals: list[DriftSignal] = []

    @property
    def held(self) -> int:
        """Clicks waiting for the negatives of their time."""
        return len(self._clicks)

    def observe(self, label: Labelled, predicted: float) -> None:
        """Take a label with the probability as served, before the ranker learns it.

        The correction of a negative is only counted: that impression was closed and measured before.
        """
        if label.kind is Kind.CORRECTION:
            self.corrections += 1
            return
        logit = float("nan")
        if len(label.features) == len(self.ranker.features):
            logit = self.ranker.logit(label.features, label.position, label.surface)
        if label.kind is Kind.POSITIVE:
            self._arrivals += 1
            heapq.heappush(self._clicks, (_shown(label), self._arrivals, label, predicted, logit))
            if len(self._clicks) > self.max_held:
                self._release()
            return
        while self._clicks and self._clicks[0][0] <= _shown(label):
            self._release()
        self._closed(label, False, predicted, logit)

    def take_signals(self) -> list[DriftSignal]:
        """Drift signals since the last call."""
        signals, self._signals = self._signals, []
        return signals

    def flush(self, ts: int) -> None:
        """Release all clicks and hand on all batches, as at the end of a replay."""
        while self._clicks:
            self._release()
        for surface in sorted(self._batches):
            self._hand_on(surface, ts)

    def _release(self) -> None:
        _, _, label, predicted, logit = heapq.heappop(self._clicks)
        self._closed(label, True, predicted, logit)

    def _closed(self, label: Labelled, clicked: bool, predicted: float, logit: float) -> None:
        if not label.randomised:
            self.examination.update(label.surface, label.position, clicked, label.swapped)
        known = label.surface in self.quality or len(self.quality) < self.max_surfaces
        surface = label.surface if known else "(other)"
        if surface not in self.quality:
            self.quality[surface] = ClickQuality(self.window)
        self.quality[surface].update(clicked, predicted)
        self.calibration.update(logit, clicked, surface, label.position)
        batch = self._batches.setdefault(surface, _Batch())
        batch.clicked.append(clicked)
        batch.probability.append(predicted)
        if len(label.features) == len(self.ranker.features):
            batch.rows.append(label.features)
        if len(batch.clicked) >= self.batch:
            self._hand_on(surface, label.ts)

    def _hand_on(self, surface: str, ts: int) -> None:
        batch = self._batches.pop(surface, None)
        if batch is None:
            return
        clicked, probability = np.array(batch.clicked), np.array(batch.probability)
        self.report.update_many(probability, clicked)
        self._signals += self.monitor.closed(clicked, probability, ts=ts, surface=surface)
        self._signals += self.monitor.scores(probability, ts=ts, surface=surface)
        if batch.rows:
            self._signals += self.monitor.rows(np.stack(batch.rows).astype(np.float32), ts=ts)


def _shown(label: Labelled) -> int:
    return label.served or label.ts
