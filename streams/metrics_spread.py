"""How exposures are spread over items and providers: coverage, concentration, fairness."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from online_models.catalog import Catalog
from online_models.counters import ItemCounters
from online_models.diversity import gini

HELD_S = 15.0
"""Sums over all items are taken at most so often."""
LEAST_SHOWN = 100
"""A provider or group of users with fewer impressions is left out of comparisons."""


def disparity(values: NDArray[np.float64]) -> float:
    """The highest over the lowest, 1 when there is nothing to compare.

    >>> disparity(np.array([0.2, 0.1])), disparity(np.array([0.2]))
    (2.0, 1.0)
    """
    return float(values.max() / max(values.min(), 1e-9)) if len(values) > 1 else 1.0


class Spread(Collector):
    """Families over all items, computed at most every :data:`HELD_S`."""

    def __init__(
        self, counters: ItemCounters, catalog: Catalog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counters, self._catalog, self._clock = counters, catalog, clock
        self._at = -HELD_S
        self._held: dict[str, float] = {}

    def collect(self) -> Iterable[Metric]:
        """All families, as of lately."""
        if not self._held or self._clock() - self._at >= HELD_S:
            self._held, self._at = self._spreads(), self._clock()
        for name, (text, _) in _SPREAD.items():
            yield GaugeMetricFamily(name, text, value=self._held[name])

    def _spreads(self) -> dict[str, float]:
        ids = self._catalog.available()
        shown, clicked = (self._of(action, ids) for action in ("impression", "click"))
        providers = self._catalog.provider_numbers(ids)
        return {name: read(shown, clicked, providers) for name, (_, read) in _SPREAD.items()}

    def _of(self, action: str, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        counts = self._counters.counts.get(action, np.zeros(1, dtype=np.int64))
        known = ids < len(counts)
        return np.where(known, counts[np.where(known, ids, 0)], 0)


_Read = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]], float]


def _coverage(shown: NDArray[np.int64], clicked: NDArray[np.int64], providers: NDArray[np.int32]) -> float:
    return float((shown > 0).mean()) if len(shown) else 0.0


def _by_provider(
    shown: NDArray[np.int64], clicked: NDArray[np.int64], providers: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Items, impressions and clicks of each provider with enough impressions."""
    known = providers >= 0
    sums = [
        np.bincount(providers[known], w[known]).astype(np.float64)
        for w in (np.ones(len(shown)), shown, clicked)
    ]
    enough = sums[1] >= LEAST_SHOWN if known.any() else np.zeros(len(sums[1]), dtype=np.bool_)
    return sums[0][enough], sums[1][enough], sums[2][enough]


def _exposures(shown: NDArray[np.int64], clicked: NDArray[np.int64], providers: NDArray[np.int32]) -> float:
    items, seen, _ = _by_provider(shown, clicked, providers)
    return disparity(seen / items)


def _clicks(shown: NDArray[np.int64], clicked: NDArray[np.int64], providers: NDArray[np.int32]) -> float:
    _, seen, acted = _by_provider(shown, clicked, providers)
    return disparity(acted / seen)


_SPREAD: dict[str, tuple[str, _Read]] = {
    "freshet_exposure_gini_ratio": ("Unevenness of exposures over items", lambda shown, *_: gini(shown)),
    "freshet_exposure_coverage_ratio": ("Share of items on offer that were ever shown", _coverage),
    "freshet_provider_exposure_disparity_ratio": (
        "Exposures an item of the best shown provider over those of the least shown", _exposures,
    ),
    "freshet_provider_click_rate_disparity_ratio": ("Highest over lowest click rate of a provider", _clicks),
}  # fmt: skip


class Groups(Collector):
    """What groups of users are shown, and click, since this process began; and how far apart they are.

    Args:
        stats: of the fold: ``group_visits_<group>`` and the like.
    """

    def __init__(self, stats: Callable[[], Mapping[str, int]]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        """Counters by group, and two disparities."""
        told = dict(self._stats())
        of = {what: _by_group(told, what) for what in _GROUPS}
        for what, text in _GROUPS.items():
            family = CounterMetricFamily(f"freshet_user_group_{what}", text, labels=["group"])
            for group, n in sorted(of[what].items()):
                family.add_metric([group], n)
            yield family
        known = [group for group, n in of["impressions"].items() if n >= LEAST_SHOWN]
        for what, over, name, text in _APART:
            rates = np.array([of[what].get(group, 0) / max(of[over].get(group, 0), 1) for group in known])
            yield GaugeMetricFamily(name, text, value=disparity(rates))


def _by_group(told: Mapping[str, int], what: str) -> dict[str, int]:
    prefix = f"group_{what}_"
    return {name.removeprefix(prefix): n for name, n in told.items() if name.startswith(prefix)}


_GROUPS = {
    "visits": "Slates of which users of a group saw something",
    "impressions": "Slots that users of a group saw",
    "clicks": "Clicks of users of a group",
}
_APART = (
    ("impressions", "visits", "freshet_user_group_exposure_disparity_ratio",
     "Slots a visit of the group that sees most over those of the one that sees least"),
    ("clicks", "impressions", "freshet_user_group_click_rate_disparity_ratio",
     "Highest over lowest click rate of a group of users"),
)  # fmt: skip
