"""What a worker tells of the heads of further actions when Prometheus asks, and what they are worth at the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from online_models.learner import Learner
from online_models.objective_watch import ObjectiveQuality
from serving.treatments import Treatments

_QUALITY: tuple[tuple[str, str, Callable[[ObjectiveQuality], float | None]], ...] = (
    (
        "freshet_objective_rate_ratio",
        "Share of closed slots that led to the action, or the mean of its value",
        lambda q: q.rate if q.n else None,
    ),
    ("freshet_objective_calibration_ratio", "Foretold over observed", lambda q: q.calibration),
    (
        "freshet_objective_log_loss_nats",
        "Log-loss of what the head foretold, before learning",
        lambda q: q.log_loss if q.n else None,
    ),
    (
        "freshet_objective_normalised_entropy_ratio",
        "Log-loss over that of the mean rate",
        lambda q: q.normalised_entropy,
    ),
    ("freshet_objective_examples", "Closed slots that the gauges of an action look back on", lambda q: q.n),
)


class ObjectiveHeads(Collector):
    """Families about the heads beside the click, by action, and the weights in force, by surface."""

    def __init__(self, learner: Learner, treatments: Treatments) -> None:
        self._objectives, self._treatments = learner.objectives, treatments

    def collect(self) -> Iterable[Metric]:
        """All families, as of now."""
        watch = self._objectives.watch
        quality = {action: watch.get(action) for action in self._objectives.heads}
        for name, text, read in _QUALITY:
            family = GaugeMetricFamily(name, text, labels=["action"])
            for action, of in quality.items():
                if (value := read(of)) is not None:
                    family.add_metric([action], value)
            yield family
        late = CounterMetricFamily(
            "freshet_objective_corrections", "Actions that came after their window", labels=["action"]
        )
        for action in quality:
            late.add_metric([action], watch.corrections[action])
        yield late
        yield from self._weights()

    def _weights(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "freshet_objective_value", "What an action is worth in the order", labels=["surface", "action"]
        )
        for surface, policy in self._treatments.surfaces.items():
            for action, weight in policy.objectives.of:
                family.add_metric([surface, action], weight)
        yield family
