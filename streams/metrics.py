"""What a worker shows Prometheus: counts the parts keep anyway, read at scrape time, and the freshness histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.metrics_merged import Merged

FRESHNESS_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FRESH_S = 0.25
"""The objective of freshness: 99 % of fresh slates come no later."""

_COUNTERS = {
    "events": ("freshet_events", "Events that passed the boundary"),
    "duplicates": ("freshet_duplicates", "Events whose event_id the user's ring already held"),
    "rerouted": ("freshet_rerouted", "Events read in a foreign partition and moved to their own"),
    "commits": ("freshet_commits", "Micro-batches committed"),
    "commits_refused": ("freshet_commits_refused", "Commits refused because the partition had moved on"),
    "position_gaps": ("freshet_position_gaps", "Batches that did not begin where the state ends"),
    "folds_failed": ("freshet_folds_failed", "Batches whose fold raised and were halved"),
    "votes_spent": (
        "freshet_votes_spent",
        "Pairs of items that got no further vote of a user that day (abuse cap)",
    ),
    "over_day_cap": ("freshet_over_day_cap", "Events that fed their user's history only (abuse cap)"),
    "pending_overflow": ("freshet_pending_overflow", "Slates forgotten before their window closed"),
    "actions_without_exposure": (
        "freshet_actions_without_exposure",
        "Actions on slates freshet did not serve",
    ),
    "impressions_without_exposure": (
        "freshet_impressions_without_exposure",
        "Impressions of slates freshet did not serve",
    ),
    "deltas_heard": ("freshet_deltas_heard", "Deltas of other workers applied"),
    "deltas_refused": ("freshet_deltas_refused", "Deltas that could not be read or would do harm"),
    "deltas_of_other_lineage": (
        "freshet_deltas_of_other_lineage",
        "Deltas passed over because the models were learnt anew by a rebuild",
    ),
    "model_tail_lost": (
        "freshet_model_tail_lost_commits",
        "Commits of a worker that died before it told what they taught; at most so many are missing from the models",
    ),
    "served": ("freshet_slates_published", "Fresh slates published after an action"),
    "skipped": ("freshet_slates_skipped", "Fresh slates the CPU budget left out"),
    "store_waits": ("freshet_store_waits", "Times Redis had to be waited for"),
    "lost_ranges": (
        "freshet_lost_ranges",
        "Partitions stopped because the log no longer holds their position",
    ),
    "states_lost": ("freshet_states_lost", "Partitions of which Redis held less than was committed"),
    "exposures_unreadable": ("freshet_exposures_unreadable", "Slates whose features could not be read"),
    "labels_of_other_schema": (
        "freshet_labels_of_other_schema",
        "Labels whose features are of another version",
    ),
    "unsent_dropped": (
        "freshet_interactions_unsent",
        "Interactions dropped before other workers heard of them",
    ),
    "catalog_items": ("freshet_catalog_entries", "Catalogue entries taken in"),
    "catalog_rejected": ("freshet_catalog_entries_rejected", "Catalogue entries refused"),
    "requests": ("freshet_recommendations", "Slates asked for, by an action or a request"),
    "degraded": ("freshet_recommendations_degraded", "Slates made without a part that could not be had"),
    "served_stale": ("freshet_recommendations_stale", "Slates that were the user's last good one"),
    "pipeline_failed": ("freshet_recommendations_failed", "Slates that could not be made"),
    "features_missing": (
        "freshet_features_missing",
        "Feature values that could not be computed and were given their default",
    ),
    "outputs_too_large": (
        "freshet_outputs_too_large",
        "Records dropped that are larger than their topic takes",
    ),
    "exposures_not_logged": (
        "freshet_exposures_not_logged",
        "Slates answered whose exposure the log did not take",
    ),
    "producers_renewed": (
        "freshet_producers_renewed",
        "Times the broker took nothing more from a producer and another one went on",
    ),
    "events_accepted": ("freshet_events_accepted", "Events put into the log over HTTP"),
    "failed": ("freshet_slates_failed", "Fresh slates that came out empty"),
    "snapshots_not_saved": (
        "freshet_snapshots_not_saved",
        "Snapshots that could not be written; the one before stands",
    ),
    "clock_steps": ("freshet_clock_steps", "Times the machine's wall clock was set while this process ran"),
    "coalesced": ("freshet_slates_coalesced", "Actions whose slate a newer action of the user replaced"),
}


class Stats(Collector):
    """Turns the parts' own counts into metric families when Prometheus asks.

    Args:
        sources: each gives a mapping of count to value.
        gauges: name of a gauge to (help, value now).
        lags: records not yet folded, by partition owned.
    """

    def __init__(
        self,
        sources: Iterable[Callable[[], Mapping[str, int]]],
        gauges: Mapping[str, tuple[str, Callable[[], float]]] | None = None,
        lags: Callable[[], Mapping[int, int]] | None = None,
    ) -> None:
        self._sources, self._lags = list(sources), lags
        self._gauges = dict(gauges or {})

    def collect(self) -> Iterable[Metric]:
        """All families, as of now."""
        totals: dict[str, int] = {}
        for source in self._sources:
            for name, value in list(source().items()):
                totals[name] = totals.get(name, 0) + value
        for name, (family, text) in _COUNTERS.items():
            metric = CounterMetricFamily(family, text)
            metric.add_metric([], totals.get(name, 0))
            yield metric
        yield _by(
            "freshet_dead_letters",
            "Records that could not be folded, by reason",
            "reason",
            totals,
            "dead_letters_",
        )
        yield _by(
            "freshet_store_operations", "Round trips to Redis, by operation", "operation", totals, "redis_"
        )
        yield _by("freshet_labels", "Labelled slots, by kind", "kind", totals, "label_")
        if self._lags is not None:
            lag = GaugeMetricFamily("freshet_lag_records", "Records not yet folded", labels=["partition"])
            for partition, records in sorted(self._lags().items()):
                lag.add_metric([str(partition)], records)
            yield lag
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(name, text, value=read())


def _by(family: str, text: str, label: str, totals: Mapping[str, int], prefix: str) -> CounterMetricFamily:
    metric = CounterMetricFamily(family, text, labels=[label])
    for name in sorted(totals):
        if name.startswith(prefix):
            metric.add_metric([name.removeprefix(prefix)], totals[name])
    return metric


def freshness(registry: CollectorRegistry) -> Histogram:
    """From the moment a click reached the log to the moment its slate was produced, s."""
    return Histogram(
        "freshet_freshness_seconds",
        "From a click reaching the log to its user's new slate being produced",
        buckets=FRESHNESS_BUCKETS,
        registry=registry,
    )


def late(freshness: Histogram) -> tuple[float, float]:
    """Fresh slates that came later than :data:`FRESH_S` after the click, and all."""
    samples = next(iter(freshness.collect())).samples
    of = {sample.labels.get("le", sample.name): sample.value for sample in samples}
    total = of["freshet_freshness_seconds_count"]
    return total - of[str(FRESH_S)], total


def process(registry: CollectorRegistry) -> None:
    """CPU time, memory and open files of this process, and its version."""
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    Info("freshet_build", "Version that runs", registry=registry).info({"version": version("freshet")})


def expose(registry: CollectorRegistry | Merged, port: int, host: str) -> None:
    """Serve the metrics over HTTP; port 0 serves none."""
    if port:
        start_http_server(port, addr=host, registry=registry)
