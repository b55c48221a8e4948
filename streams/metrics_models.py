"""What a worker tells of its models when Prometheus asks: quality, calibration, drift, coverage, fairness, index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from online_models.catalog import Catalog
from online_models.learner import Learner
from online_models.metrics import Quality
from online_models.watch import QualityWatch
from streams.monitor import Monitor

HELD_S = 15.0
"""Sums over all items are taken at most so often."""
LEAST_SHOWN = 100
"""A provider with fewer impressions is left out of comparisons."""

_QUALITY: tuple[tuple[str, str, Callable[[Quality], float | None]], ...] = (
    ("freshet_click_rate_ratio", "Clicks over closed impressions", lambda q: q.click_rate),
    (
        "freshet_calibration_ratio",
        "Predicted over observed click rate",
        lambda q: _over(q.predicted, q.click_rate),
    ),
    ("freshet_log_loss_nats", "Log-loss of probabilities as served, before learning", lambda q: q.log_loss),
    (
        "freshet_normalised_entropy_ratio",
        "Log-loss over that of the click rate",
        lambda q: q.normalised_entropy,
    ),
    ("freshet_auc_ratio", "Area under the ROC curve of probabilities as served", lambda q: q.auc),
    (
        "freshet_quality_examples",
        "Closed impressions that the quality gauges look back on",
        lambda q: float(q.n),
    ),
)


def _over(a: float, b: float) -> float | None:
    return a / b if b else None


def gini(counts: NDArray[np.int64]) -> float:
    """How unevenly exposures are spread over items: 0 for evenly, near 1 for all on one (Gini, 1912).

    >>> gini(np.array([5, 5, 5, 5])), round(gini(np.array([0, 0, 0, 20])), 2)
    (0.0, 0.75)
    """
    n, total = len(counts), int(counts.sum())
    if not n or not total:
        return 0.0
    ranks = np.arange(1, n + 1)
    return float(2.0 * (ranks @ np.sort(counts)) / (n * total) - (n + 1) / n)


def disparity(values: NDArray[np.float64]) -> float:
    """The highest over the lowest, 1 when there is nothing to compare.

    >>> disparity(np.array([0.2, 0.1])), disparity(np.array([0.2]))
    (2.0, 1.0)
    """
    return float(values.max() / max(values.min(), 1e-9)) if len(values) > 1 else 1.0


class Learning(Collector):
    """Families about models; what is costly is computed at most every :data:`HELD_S`."""

    def __init__(
        self,
        learner: Learner,
        catalog: Catalog,
        monitor: Monitor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._learner, self._catalog, self._monitor, self._clock = learner, catalog, monitor, clock
        self._watch: QualityWatch = monitor.watch
        self._at = -HELD_S
        self._spread: dict[str, float] = {}

    def collect(self) -> Iterable[Metric]:
        """All families, as of now."""
        yield from self._quality()
        yield from self._drift()
        yield from self._counts()
        if self._clock() - self._at >= HELD_S:
            self._spread, self._at = self._spreads(), self._clock()
        for name, (text, _) in _SPREAD.items():
            yield GaugeMetricFamily(name, text, value=self._spread[name])

    def _quality(self) -> Iterator[Metric]:
        quality = {surface: held.get() for surface, held in list(self._watch.quality.items())}
        for name, text, read in _QUALITY:
            family = GaugeMetricFamily(name, text, labels=["surface"])
            for surface, of in quality.items():
                if (value := read(of)) is not None:
                    family.add_metric([surface], value)
            yield family
        family = GaugeMetricFamily(
            "freshet_calibration_decile_ratio",
            "Predicted over observed, by decile of prediction",
            labels=["decile"],
        )
        for k, bucket in enumerate(self._watch.report.deciles()):
            if bucket.ratio is not None:
                family.add_metric([str(k + 1)], bucket.ratio)
        yield family

    def _drift(self) -> Iterator[Metric]:
        told = CounterMetricFamily(
            "freshet_drift_signals", "Signals told, by series and severity", labels=["series", "severity"]
        )
        for (series, severity), n in sorted(self._monitor.counts.items()):
            told.add_metric([series, severity], n)
        yield told
        hushed = self._watch.monitor.hushed.suppressed
        yield _counter(
            "freshet_drift_signals_hushed", "Signals of a cause told within the quiet period", hushed
        )
        family = GaugeMetricFamily(
            "freshet_feature_stability_index",
            "Population stability index when last compared",
            labels=["feature"],
        )
        for feature, value in sorted(self._watch.monitor.latest_psi.items()):
            family.add_metric([feature], value)
        yield family

    def _counts(self) -> Iterator[Metric]:
        learner = self._learner
        actions = CounterMetricFamily(
            "freshet_actions", "Impressions and actions, as told by all workers", labels=["surface", "action"]
        )
        for surface, row in sorted(learner.counters.surfaces.items()):
            for action, n in sorted(row.items()):
                actions.add_metric([surface, action], n)
        yield actions
        model = learner.model
        yield _counter(
            "freshet_choices", "Actions whose user's last candidates are known", learner.stats["ordered"]
        )
        yield _counter(
            "freshet_choices_held", "Those whose item was among the candidates", model.head.examples
        )
        yield _counter("freshet_click_examples", "Slots the click head has learnt", learner.ranker.examples)
        index = model.embedding.index
        yield _counter("freshet_index_rebuilds", "Times the vector index was built anew", index.rebuilds)
        yield _counter("freshet_index_faults", "Searches the graph could not answer", index.graph_faults)
        yield GaugeMetricFamily("freshet_index_vectors", "Item vectors that can be found", value=len(index))
        failed = CounterMetricFamily(
            "freshet_source_failures", "Sources that gave no answer", labels=["source"]
        )
        for name, n in sorted(model.stats.items()):
            if name.startswith("source_failed."):
                failed.add_metric([name.removeprefix("source_failed.")], n)
        yield failed
        yield GaugeMetricFamily(
            "freshet_learning_frozen", "1 while learning is stopped", value=float(learner.frozen)
        )

    # ------------------------------------------------------------------ over all items

    def _spreads(self) -> dict[str, float]:
        ids = self._catalog.available()
        shown, clicked = (self._of(action, ids) for action in ("impression", "click"))
        providers = self._catalog.provider_numbers(ids)
        return {name: read(shown, clicked, providers) for name, (_, read) in _SPREAD.items()}

    def _of(self, action: str, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        counts = self._learner.counters.counts.get(action, np.zeros(1, dtype=np.int64))
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


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)
