"""What a worker and an API replica export, asked of the real ones before they connect to anything."""

from __future__ import annotations

from functools import cache

from prometheus_client.core import Metric

from streams.serve import Replica
from streams.settings import Settings
from streams.worker import Worker

_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "info": ("_info",),
}


@cache
def families() -> dict[str, Metric]:
    """Every family of ours by its name, of worker and API."""
    worker, replica = Worker(Settings(metrics_port=0)), Replica(Settings())
    worker._expose()
    found = {}
    for registry in (worker.registry, replica.registry):
        found.update({metric.name: metric for metric in registry.collect()})
    return found


def series() -> set[str]:
    """The names that a query may ask for."""
    return {f"{name}{suffix}" for name, of in families().items() for suffix in _SUFFIXES.get(of.type, ("",))}
