"""What a worker measures of each label before it is learnt, and the signals it publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import orjson

from online_models import ops_signals
from online_models.bubble import BubbleWatch
from online_models.counters import IMPRESSION, ItemCounters
from online_models.drift_signal import DriftSignal
from online_models.events import Exposure
from online_models.interning import Interner
from online_models.labels import Labelled
from online_models.objective_watch import ObjectiveWatch
from online_models.shadow_loss import ShadowLoss
from online_models.watch import QualityWatch
from serving.assembly import Parts


class Monitor:
    """Gathers drift signals until they are published.

    Args:
        watch: measures quality and looks for drift.
        bubble: measures what is shown; None watches nothing of it.
        interner: numbers of items by name, for ``bubble``.
        objectives: measures the heads of further actions; None does not.
        losses: measures the versions of the model beside each other; None does not.
    """

    def __init__(
        self,
        watch: QualityWatch,
        bubble: BubbleWatch | None = None,
        interner: Interner | None = None,
        objectives: ObjectiveWatch | None = None,
        losses: ShadowLoss | None = None,
    ) -> None:
        self.watch, self.bubble, self._interner = watch, bubble, interner
        self._objectives, self.losses = objectives, losses
        self.counts: Counter[tuple[str, str]] = Counter()  # series, severity
        self._waiting: list[DriftSignal] = []

    def observe(self, label: Labelled, predicted: float) -> None:
        """A label with the probability as served, before it is learnt."""
        self.watch.observe(label, predicted)
        if self.losses is not None:
            self.losses.observe(label)

    def served(self, exposures: Iterable[Exposure]) -> None:
        """Slates that were served, as the log holds them."""
        if self.bubble is None or self._interner is None:
            return
        for exposure in exposures:
            numbers = [self._interner.get(slot.item_id) for slot in exposure.items]
            known = [number for number in numbers if number is not None]
            self.bubble.served(np.array(known, dtype=np.int32), exposure.ts)

    def lost_range(self, partition: int, position: int, log_start: int, ts: int) -> None:
        """The log no longer holds the position to read on from."""
        self._waiting.append(ops_signals.lost_range(partition, position, log_start, ts))

    def tell(self, signal: DriftSignal) -> None:
        """A signal that was raised elsewhere in this process."""
        self._waiting.append(signal)

    def take(self) -> list[DriftSignal]:
        """Signals since the last call."""
        others = [of.take_signals() for of in (self.bubble, self._objectives) if of is not None]
        signals = [*self._waiting, *self.watch.take_signals(), *(s for told in others for s in told)]
        self._waiting = []
        self.counts.update((signal.name.partition(":")[0], signal.severity) for signal in signals)
        return signals


def bubble_of(parts: Parts) -> BubbleWatch:
    """What watches the slates of a process, by its own vectors, counts and catalogue."""
    counters, catalog = parts.learner.counters, parts.catalog
    return BubbleWatch(
        parts.learner.model.vectors,
        lambda ids: (counters.exact(ids, IMPRESSION), _impressions(counters)),
        lambda: len(catalog),
    )


def _impressions(counters: ItemCounters) -> int:
    """Of all surfaces together."""
    return sum(row.get(IMPRESSION, 0) for row in counters.surfaces.values())


def encoded(signal: DriftSignal) -> bytes:
    """A signal as one record's value; repeats of one have the same id."""
    return orjson.dumps({"v": 1, "id": f"{signal.name}-{signal.ts}", **asdict(signal)})
