"""All series of a process under one roof: engagement by surface, features, and how often they may speak.

One signal is given per cause and quiet period, and what is held back is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays
from online_models.drift import RARELY, Direction, SeriesDetector
from online_models.drift_cuts import scaled_log_loss
from online_models.drift_signal import FEATURE_RUNBOOK, DriftSignal
from online_models.psi import StabilityMonitor
from online_models.recovery import Recovery


class Hushed:
    """One signal per cause and quiet period, and no more than so many an hour; the rest is counted.

    Args:
        quiet_ms: of event time, per cause, at least 0.
        per_hour: most signals of all causes in an hour of event time, at least 1.
        max_causes: causes remembered, the oldest is forgotten, at least 1.
    """

    def __init__(self, quiet_ms: int = 600_000, per_hour: int = 30, max_causes: int = 1_000) -> None:
        if quiet_ms < 0 or per_hour < 1 or max_causes < 1:
            raise ValueError("quiet_ms must be at least 0, per_hour and max_causes at least 1")
        self.quiet_ms, self.per_hour, self.max_causes = quiet_ms, per_hour, max_causes
        self.suppressed = 0
        self._last: dict[str, int] = {}
        self._given: list[int] = []

    def admit(self, signals: Sequence[DriftSignal]) -> list[DriftSignal]:
        """Those that are to be told, the most severe of a cause first."""
        out = []
        for signal in sorted(signals, key=lambda s: (s.severity != "critical", -s.statistic, s.name)):
            self._given = [ts for ts in self._given if ts > signal.ts - 3_600_000]
            last = self._last.get(signal.cause)
            if (last is not None and signal.ts - last < self.quiet_ms) or len(self._given) >= self.per_hour:
                self.suppressed += 1
                continue
            self._last.pop(signal.cause, None)
            self._last[signal.cause] = signal.ts
            while len(self._last) > self.max_causes:
                del self._last[next(iter(self._last))]
            self._given.append(signal.ts)
            out.append(signal)
        return out


class DriftMonitor:
    """All series of one worker: click rate and log-loss per surface, score mean, stability of features.

    Args:
        features: names for the stability index; none turns it off.
        delta: shared by all series of a look: each ADWIN gets ``delta / expected_series``.
        expected_series: how many series the confidence is divided by, at least 1.
        max_surfaces: surfaces watched; those beyond share one series, at least 1.
        psi_threshold: the index from which a feature gives a signal, above 0.
        steady: closed impressions without a change after which a drift that was told is told to be over.

    >>> monitor = DriftMonitor(["x"])
    >>> monitor.closed(np.zeros(100, bool), np.full(100, 0.1), ts=1_000)
    []
    """

    def __init__(
        self,
        features: Sequence[str] = (),
        *,
        delta: float = 0.002,
        expected_series: int = 3,
        max_surfaces: int = 16,
        psi_threshold: float = 0.25,
        quiet_ms: int = 600_000,
        per_hour: int = 30,
        reference: int = 10_000,
        window: int = 5_000,
        steady: int = 5_000,
    ) -> None:
        if expected_series < 1 or max_surfaces < 1 or not psi_threshold > 0:
            raise ValueError("expected_series and max_surfaces must be at least 1, psi_threshold above 0")
        self.delta, self.max_surfaces, self.psi_threshold = (
            delta / expected_series,
            max_surfaces,
            psi_threshold,
        )
        self.chance = RARELY / expected_series
        self.hushed = Hushed(quiet_ms, per_hour)
        self.recovery = Recovery(steady)
        self.stability = StabilityMonitor(features, reference=reference, window=window) if features else None
        self.series: dict[str, SeriesDetector] = {}
        self.latest_psi: dict[str, float] = {}

    def closed(
        self,
        clicked: NDArray[np.bool_],
        probability: NDArray[np.float64],
        *,
        ts: int,
        surface: str = "default",
    ) -> list[DriftSignal]:
        """Take closed impressions in impression order, with the probability as served."""
        looked = [
            (self._detector("click_rate", "engagement", surface, "both"), clicked.astype(np.float64)),
            (self._detector("log_loss", "engagement", surface, "up"), scaled_log_loss(clicked, probability)),
        ]
        return self._look(looked, ts)

    def scores(
        self, probability: NDArray[np.float64], *, ts: int, surface: str = "default"
    ) -> list[DriftSignal]:
        """Take probabilities as served."""
        return self._look([(self._detector("score_mean", "scores", surface, "both"), probability)], ts)

    def _look(
        self, looked: Sequence[tuple[SeriesDetector, NDArray[np.float64]]], ts: int
    ) -> list[DriftSignal]:
        """New signals, one a cause, and of those told before the ones that are over."""
        found: list[DriftSignal] = []
        over: list[DriftSignal] = []
        for detector, values in looked:
            signal = detector.update(values, ts)
            found += [signal] if signal else []
            over += self.recovery.watch(detector.name, values, ts, changed=signal is not None)
        told = self.hushed.admit(found)
        self.recovery.told(told)
        return told + over

    def rows(self, rows: NDArray[np.float32], *, ts: int) -> list[DriftSignal]:
        """Take feature rows as served, float32[n, F]."""
        if self.stability is None:
            return []
        compared = self.stability.update(rows)
        self.latest_psi.update((name, value) for name, value, _ in compared)
        shifted = [
            (name, value, max(level, self.psi_threshold))
            for name, value, level in compared
            if value > max(level, self.psi_threshold)
        ]
        if not shifted:
            return self.recovery.close("psi:", ts) if compared else []
        self.stability.forget()  # the shift is told; what comes now is the new normal
        worst = max(shifted, key=lambda row: (row[1], row[0]))
        evidence = {name: value for name, value, _ in sorted(shifted, key=lambda row: -row[1])[:10]}
        signal = DriftSignal(
            name=f"psi:{worst[0]}",
            cause="features",
            detector="psi",
            statistic=worst[1],
            threshold=worst[2],
            window=self.stability.window,
            severity="critical" if worst[1] > 4 * self.psi_threshold else "warning",
            runbook=FEATURE_RUNBOOK,
            ts=ts,
            evidence=evidence,
        )
        told = self.hushed.admit([signal])
        self.recovery.told(told)
        return told

    def _detector(self, kind: str, cause: str, surface: str, direction: Direction) -> SeriesDetector:
        name = f"{kind}:{surface}"
        if name not in self.series:
            if sum(key.startswith(f"{kind}:") for key in self.series) >= self.max_surfaces:
                surface, name = "(other)", f"{kind}:(other)"
            self.series.setdefault(
                name,
                SeriesDetector(
                    name,
                    cause=f"{cause}:{surface}",
                    delta=self.delta,
                    direction=direction,
                    chance=self.chance,
                ),
            )
        return self.series[name]

    def arrays(self) -> Arrays:
        """What a restart needs, by series."""
        out = {f"{name}/{key}": a for name, one in self.series.items() for key, a in one.arrays().items()}
        if self.stability is not None:
            out.update({f"psi/{key}": array for key, array in self.stability.arrays().items()})
        return out

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        by_name: dict[str, Arrays] = {}
        for path, array in arrays.items():
            name, _, key = path.rpartition("/")
            by_name.setdefault(name, {})[key] = array
        stability = by_name.pop("psi", {})
        if self.stability is not None:
            self.stability.load(stability)
        for name, held in by_name.items():
            kind, _, surface = name.partition(":")
            cause, direction = _KINDS[kind]
            self._detector(kind, cause, surface, direction).load(held)


_KINDS: dict[str, tuple[str, Direction]] = {
    "click_rate": ("engagement", "both"),
    "log_loss": ("engagement", "up"),
    "score_mean": ("scores", "both"),
}
