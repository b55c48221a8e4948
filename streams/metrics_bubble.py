"""What a worker tells of the slates served lately: how far they reach, how different and how little known they are."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from online_models.bubble import BubbleWatch

_FAMILIES = {
    "coverage": ("freshet_slates_coverage_ratio", "Share of items on offer in the last thousand slates"),
    "gini": ("freshet_slates_gini_ratio", "Unevenness of exposures over items in the last thousand slates"),
    "diversity": (
        "freshet_slates_diversity_ratio",
        "Difference of a slate's items from each other, mean of a thousand",
    ),
    "novelty": (
        "freshet_slates_novelty_bits",
        "Self-information of what is shown, mean of a thousand slates",
    ),
}


class Bubble(Collector):
    """Families of :class:`online_models.bubble.BubbleWatch`; without a value until the first hundred slates."""

    def __init__(self, watch: BubbleWatch) -> None:
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        """All families, as of now."""
        latest = self._watch.latest
        for figure, (name, text) in _FAMILIES.items():
            family = GaugeMetricFamily(name, text)
            if figure in latest:
                family.add_metric([], latest[figure])
            yield family
