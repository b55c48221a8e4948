"""What is measured of each slate that is shown: how it was made, from which sources, at what cost."""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary

from serving.types import Slate

CPU_BUCKETS = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1)
SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
FEEDBACK_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class SlateMeter:
    """Counters and histograms of slates.

    The mean of ``freshet_uniform_target_weight`` is 1 when propensities are right: it is what a uniform choice of the
    first slot would have had as probability over what the draw had, over randomised slates.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.slates = Counter("freshet_slates", "Slates shown", ("surface",), registry=registry)
        self.flags = Counter(
            "freshet_slates_flagged",
            "Slates shown, by what is special about them",
            ("flag",),
            registry=registry,
        )
        self.slots = Counter("freshet_slots", "Slots shown, by source", ("source",), registry=registry)
        self.weight = Summary(
            "freshet_uniform_target_weight",
            "Uniform over logged probability, first slots drawn",
            registry=registry,
        )
        self.probability = Histogram(
            "freshet_predicted_click_ratio",
            "Click probability of first slots",
            buckets=SHARES,
            registry=registry,
        )
        self.cpu = Histogram(
            "freshet_slate_cpu_seconds", "CPU time of making a slate", buckets=CPU_BUCKETS, registry=registry
        )
        self.feedback = Histogram(
            "freshet_feedback_seconds",
            "From an action to its user's new slate being produced, by the clock of the action's sender",
            buckets=FEEDBACK_BUCKETS,
            registry=registry,
        )

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure the CPU time of what is done within."""
        begun = time.thread_time()
        yield
        self.cpu.observe(time.thread_time() - begun)

    def shown(self, slate: Slate) -> None:
        """A slate is handed to the log."""
        self.slates.labels(slate.surface).inc()
        for flag in slate.flags:
            self.flags.labels(flag).inc()
        for source, slots in Counts(item.source for item in slate.items).items():
            self.slots.labels(source or "none").inc(slots)
        if slate.items and slate.features is not None:
            self.probability.observe(slate.items[0].probability)
        if slate.choice is not None and slate.items and "pinned" not in slate.flags:
            able = len(slate.choice.items) - len(slate.choice.barred[0])
            self.weight.observe(1.0 / (max(able, 1) * max(slate.items[0].propensity, 1e-9)))
