"""What a worker tells of its models when Prometheus asks: quality, calibration, drift, recall, index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from online_models.learner import Learner
from online_models.metrics import Quality
from online_models.watch import QualityWatch
from streams.monitor import Monitor

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


class Learning(Collector):
    """Families about models, read as they are."""

    def __init__(self, learner: Learner, monitor: Monitor) -> None:
        self._learner, self._monitor = learner, monitor
        self._watch: QualityWatch = monitor.watch

    def collect(self) -> Iterable[Metric]:
        """All families, as of now."""
        yield from self._quality()
        yield from self._versions()
        yield from self._drift()
        yield from self._counts()

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

    def _versions(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "freshet_version_log_loss_nats",
            "Log-loss of each version held, over the same slots, before it learns them",
            labels=["version"],
        )
        losses = self._monitor.losses.losses if self._monitor.losses is not None else {}
        for version, loss in list(losses.items()):
            if loss.mean is not None:
                family.add_metric([version], loss.mean)
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
        yield from self._recall()
        model = learner.model
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

    def _recall(self) -> Iterator[Metric]:
        asked = CounterMetricFamily(
            "freshet_choices",
            "Actions whose user's last candidates are known: shown by us, or organic (search, browsing)",
            labels=["how"],
        )
        held = CounterMetricFamily(
            "freshet_choices_held",
            "Those whose item was a candidate, by its source",
            labels=["how", "source"],
        )
        for name, n in sorted(self._learner.stats.items()):
            kind, _, rest = name.partition(".")
            if kind == "choice":
                asked.add_metric([rest], n)
            elif kind == "held":
                held.add_metric(rest.split(".", 1), n)
        yield asked
        yield held


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)
