"""What a worker measures of each label before it is learnt, and the signals it publishes."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import orjson

from online_models import ops_signals
from online_models.drift import DriftSignal
from online_models.labels import Labelled
from online_models.watch import QualityWatch


class Monitor:
    """Gathers drift signals until they are published.

    Args:
        watch: measures quality and looks for drift.
    """

    def __init__(self, watch: QualityWatch) -> None:
        self.watch = watch
        self.counts: Counter[tuple[str, str]] = Counter()  # series, severity
        self._waiting: list[DriftSignal] = []

    def observe(self, label: Labelled, predicted: float) -> None:
        """A label with the probability as served, before it is learnt."""
        self.watch.observe(label, predicted)

    def lost_range(self, partition: int, position: int, log_start: int, ts: int) -> None:
        """The log no longer holds the position to read on from."""
        self._waiting.append(ops_signals.lost_range(partition, position, log_start, ts))

    def tell(self, signal: DriftSignal) -> None:
        """A signal that was raised elsewhere in this process."""
        self._waiting.append(signal)

    def take(self) -> list[DriftSignal]:
        """Signals since the last call."""
        signals = [*self._waiting, *self.watch.take_signals()]
        self._waiting = []
        self.counts.update((signal.name.partition(":")[0], signal.severity) for signal in signals)
        return signals


def encoded(signal: DriftSignal) -> bytes:
    """A signal as one record's value; repeats of one have the same id."""
    return orjson.dumps({"v": 1, "id": f"{signal.name}-{signal.ts}", **asdict(signal)})
