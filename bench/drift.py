"""How often drift signals cry wolf, and how late they see a fall of the click rate, by level of traffic.

Simulated days: traffic and click rate come in waves of their own, with the phase anywhere; no day is like the other;
bursts of five times the traffic last ten minutes; users differ in how much they click, and a visit is ten impressions.
``python -m bench.drift`` prints the table of docs/runbooks/model-drift.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from online_models.drift import SeriesDetector
from online_models.drift_monitor import DriftMonitor
from online_models.drift_signal import DriftSignal

HOUR_MS = 3_600_000
BATCH = 100
SLOTS = 10
STEP_H = 1.0 / 12.0


@dataclass(frozen=True, slots=True)
class Days:
    """What is simulated.

    Attributes:
        per_hour: impressions, on average.
        wave, volume: how far click rate and traffic swing about their mean, relatively.
        unlike: standard deviation of a day's click rate, relatively.
        falls_at: hour from which the click rate is lower by ``fall``; None is never.
    """

    per_hour: int
    days: int = 7
    rate: float = 0.05
    wave: float = 0.3
    volume: float = 0.6
    unlike: float = 0.03
    bursts_a_day: int = 3
    falls_at: float | None = None
    fall: float = 0.2


Closed = tuple[int, NDArray[np.bool_], NDArray[np.float64]]


def closed(of: Days, seed: int) -> Iterator[Closed]:
    """Closed impressions in batches: time (ms), clicked, probability as served."""
    rng = np.random.default_rng(seed)
    bursts = rng.uniform(0.0, 24.0 * of.days, size=of.bursts_a_day * of.days)
    phases = rng.uniform(0.0, 24.0, size=2)
    days = 1.0 + rng.normal(0.0, of.unlike, size=of.days)
    clicked, served = np.zeros(0, dtype=np.bool_), np.zeros(0)
    for k in range(round(24 * of.days / STEP_H)):
        hour = k * STEP_H
        rate, traffic = (
            1.0 + high * np.sin(2.0 * np.pi * (hour - at) / 24.0)
            for high, at in zip((of.wave, of.volume), phases, strict=True)
        )
        if np.any((bursts <= hour) & (hour < bursts + 1.0 / 6.0)):
            traffic *= 5.0
        rate *= of.rate * days[int(hour // 24)]
        if of.falls_at is not None and hour >= of.falls_at:
            rate *= 1.0 - of.fall
        visits = rng.poisson(of.per_hour * STEP_H * traffic / SLOTS)
        of_user = np.repeat(rng.gamma(4.0, 0.25, size=visits), SLOTS)
        clicked = np.concatenate([clicked, rng.random(visits * SLOTS) < np.minimum(rate * of_user, 0.9)])
        guess = of.rate * np.exp(rng.normal(-0.08, 0.4, size=visits * SLOTS))
        served = np.concatenate([served, np.clip(guess, 0.001, 0.9)])
        whole = len(clicked) // BATCH * BATCH
        for at in range(0, whole, BATCH):
            yield round(hour * HOUR_MS), clicked[at : at + BATCH], served[at : at + BATCH]
        clicked, served = clicked[whole:], served[whole:]


def signals(of: Days, seed: int) -> list[DriftSignal]:
    """What a worker would tell of it, recoveries left out."""
    monitor, told = DriftMonitor(), []
    for ts, clicked, served in closed(of, seed):
        told += monitor.closed(clicked, served, ts=ts) + monitor.scores(served, ts=ts)
    return [signal for signal in told if signal.detector != "recovery"]


def delay_h(per_hour: int, seed: int, known_days: int = 4) -> float | None:
    """Hours from a fall of the click rate by a fifth to the first signal of it; None within six days."""
    falls_at = 24.0 * known_days + np.random.default_rng(seed).uniform(0.0, 24.0)
    for signal in signals(Days(per_hour, days=known_days + 7, falls_at=falls_at), seed + 1_000):
        after = signal.ts / HOUR_MS - falls_at
        if after >= 0.0 and signal.cause.startswith("engagement"):
            return float(after)
    return None


def first_day_clicks(rate: float, factor: float, history: int, seed: int) -> float:
    """Expected clicks at the old rate until a change within the first hours is told; infinite when it is not."""
    rng, detector = np.random.default_rng(seed), SeriesDetector("click_rate", delta=0.002 / 3)
    detector.update((rng.random(round(history / rate)) < rate).astype(float), ts=0)
    for k in range(round(400 / rate / BATCH)):
        if detector.update((rng.random(BATCH) < factor * rate).astype(float), ts=1) is not None:
            return (k + 1) * BATCH * rate
    return float(np.inf)


def first_day() -> None:
    """Print the table of the first day."""
    print("| click rate | history | doubled | halved |\n| --- | --- | --- | --- |")
    for rate in (0.01, 0.05, 0.2):
        for history in (300, 3_000):
            told = [
                sorted(first_day_clicks(rate, factor, history, seed) for seed in range(20))
                for factor in (2.0, 0.5)
            ]
            cells = [" / ".join(f"{delays[at]:.0f}" for at in (10, 18, 19)) for delays in told]
            print(f"| {100 * rate:g} % | {history:,} | {cells[0]} | {cells[1]} |", flush=True)


def main() -> None:
    """Print the tables."""
    first_day()
    print(
        "| impressions an hour | weeks | false alarms | in the worst week | a fall by a fifth is seen: median | 90 % |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for per_hour, weeks, falls in ((360, 40, 10), (3_600, 40, 20), (36_000, 4, 6)):
        alarms = [len(signals(Days(per_hour), seed)) for seed in range(weeks)]
        delays = sorted(np.inf if (d := delay_h(per_hour, seed)) is None else d for seed in range(falls))
        late = delays[min(len(delays) - 1, round(0.9 * len(delays)))]
        row = (f"{per_hour:,}", weeks, sum(alarms), max(alarms), _hours(median(delays)), _hours(late))
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if np.isfinite(hours) else "not within a week"


if __name__ == "__main__":
    main()
