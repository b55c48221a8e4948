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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from river import drift

from online_models.base import Arrays
from online_models.psi import StabilityMonitor
from online_models.recovery import Recovery
from online_models.same_hour import Moved, SameHour

Severity = Literal["info", "warning", "critical"]
Direction = Literal["up", "down", "both"]
RUNBOOK = "docs/runbooks/model-drift.md"
FEATURE_RUNBOOK = "docs/runbooks/feature-skew.md"
MAX_LOG_LOSS = 7.0
"""Log-loss is clipped here and divided by it, since ADWIN takes values between 0 and 1."""
LARGE = 1.5
"""A mean that moved by this factor is critical whether or not the second vote agrees."""
MATTERS = 1.2
"""So is one that moved by this factor from what it is at the same hour of other days."""
FIRST_DAY = 1.5
"""As long as no past day is known, a mean must have moved by this factor"""
ANEW_MS = 21_600_000
"""within so long: a quarter of a day's wave is not so steep."""
RARELY = 1e-7
"""False alarms of all series of a look in so many expected clicks, once past days are known."""


@dataclass(frozen=True, slots=True)
class DriftSignal:
    """Something is not as it was: what, how far, how surely, and what to do."""

    name: str  # of the series, such as click_rate:home
    cause: str  # signals of one cause are given once per quiet period
    detector: str
    statistic: float
    threshold: float
    window: int  # values compared
    severity: Severity
    runbook: str
    ts: int  # event time, ms
    evidence: Mapping[str, float] = field(default_factory=dict)
    histogram: Mapping[str, Sequence[float]] = field(
        default_factory=dict
    )  # edges, and shares older and newer


def scaled_log_loss(clicked: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-loss per example, clipped and scaled to between 0 and 1.

    >>> scaled_log_loss(np.array([True, False]), np.array([1.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    of_truth = np.where(clicked, probability, 1.0 - probability)
    loss: NDArray[np.float64] = -np.log(np.maximum(of_truth, math.exp(-MAX_LOG_LOSS))) / MAX_LOG_LOSS
    return np.abs(loss)


def cut_bound(variance: float, older: float, newer: float, delta: float) -> float:
    """By how much two windows' means may differ before ADWIN cuts (its equation for epsilon)."""
    harmonic = 1.0 / (1.0 / max(older, 1.0) + 1.0 / max(newer, 1.0))
    log = math.log(2.0 * math.log(max(older + newer, 3.0)) / delta)
    return math.sqrt(2.0 / harmonic * variance * log) + 2.0 / (3.0 * harmonic) * log


def best_cut(values: NDArray[np.float64]) -> int:
    """Where two windows differ most, in standard errors: how many values belong to the older one.

    >>> best_cut(np.array([0.0] * 50 + [1.0] * 30))
    50
    """
    n = len(values)
    older = np.arange(1, n)
    sums = np.cumsum(values)
    difference = np.abs((sums[-1] - sums[:-1]) / (n - older) - sums[:-1] / older)
    score = difference * np.sqrt(older * (n - older) / n)
    edge = min(5, (n - 1) // 2)  # ADWIN's own least window
    return int(edge + np.argmax(score[edge : n - 1 - edge])) + 1 if n > 2 * edge + 1 else max(n // 2, 1)


def shapes(
    older: NDArray[np.float64], newer: NDArray[np.float64], bins: int = 10
) -> dict[str, tuple[float, ...]]:
    """Both windows as histograms over the same edges; nothing for values that are only 0 or 1.

    >>> told = shapes(np.array([0.0, 0.1, 0.2]), np.array([0.9, 1.0]), bins=2)
    >>> told["edges"], told["older"], told["newer"]
    ((0.0, 0.5, 1.0), (1.0, 0.0), (0.0, 1.0))
    """
    both = np.concatenate([older, newer])
    if not len(older) or not len(newer) or np.isin(both, (0.0, 1.0)).all():
        return {}
    edges = np.linspace(both.min(), both.max(), bins + 1)
    counts = (np.histogram(part, edges)[0] / len(part) for part in (older, newer))
    older_share, newer_share = (tuple(share.round(4).tolist()) for share in counts)
    return {"edges": tuple(edges.round(6).tolist()), "older": older_share, "newer": newer_share}


def far_apart(values: NDArray[np.float64], cut: int) -> bool:
    """Whether two windows' means differ by :data:`FIRST_DAY`, each read over enough to say so.

    >>> far_apart(np.array([0.0, 1.0] * 50 + [1.0] * 100), cut=100)
    True
    """
    least = min(int(20.0 / max(float(values.mean()), 1e-6)), len(values) // 2)
    older, newer = values[: max(cut, least)], values[min(cut, len(values) - least) :]
    return not 1 / FIRST_DAY < float(newer.mean()) / max(float(older.mean()), 1e-12) < FIRST_DAY


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
    by :data:`FIRST_DAY` gives a signal. From then on it is compared with the same hour of past days.

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
