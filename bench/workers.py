"""What an event costs in CPU time when one worker folds the topic, and when two share it (four under ``--long``).

Slates are told apart: each worker makes as many as its share of a CPU allows, so two make up to twice as many.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from bench import ingest, report
from bench.deployment import START_TIMEOUT_S, Deployment, Process, servers
from tests.kafka.broker import KafkaBroker
from tests.support.redis_server import RedisServer


def run(*, long: bool = False) -> report.Result:
    """The benchmark."""
    events = 400_000 if long else 40_000
    counts = (1, 2, 4) if long else (1, 2)
    figures: dict[str, Any] = {}
    with servers() as (broker, redis):
        for count in counts:
            redis.flush()
            figures[f"workers_{count}"] = _measured(broker, redis, count, events)
    one, two = (figures[f"workers_{n}"]["cpu_us_per_event_without_slates"] for n in (1, 2))
    figures["cpu_of_2_over_1"] = round(two / one, 2)
    return report.finished("workers", figures, {"events": events, **ingest.TRADES})


def _measured(broker: KafkaBroker, redis: RedisServer, count: int, events: int) -> dict[str, float]:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    with Deployment(broker, redis, name, **ingest.TRADES) as deployment:
        workers = [deployment.worker() for _ in range(count)]
        _wait_for_partitions(workers, deployment.settings.partitions)
        ingest.preload(deployment, events)  # users and models, so that all are warm
        deployment.wait_folded(events, worker=workers[0])
        before, begun, done = _Spent(workers), time.perf_counter(), deployment.folded()
        ingest.preload(deployment, events, seed=1)
        ended = deployment.wait_folded(done + events, worker=workers[0])
        after = _Spent(workers)
        used, on_slates = after.cpu_s - before.cpu_s, after.slates_s - before.slates_s
        return {
            "cpu_us_per_event": round(1e6 * used / events, 1),
            "cpu_us_per_event_without_slates": round(1e6 * (used - on_slates) / events, 1),
            "slates": after.slates - before.slates,
            "events_per_s": round(events / (ended - begun)),
        }


class _Spent:
    """CPU time of all workers so far, and what of it went into slates."""

    def __init__(self, workers: list[Process]) -> None:
        told = [worker.metrics() for worker in workers]
        self.cpu_s = sum(worker.cpu_s() for worker in workers)
        self.slates_s = sum(metrics.get("freshet_slate_cpu_seconds_sum", 0.0) for metrics in told)
        self.slates = sum(metrics.get("freshet_slate_cpu_seconds_count", 0.0) for metrics in told)


def _wait_for_partitions(workers: list[Process], partitions: int) -> None:
    """Until every partition has an owner and every worker some."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        owned = [worker.metrics().get("freshet_owned_partitions", 0.0) for worker in workers]
        if all(owned) and sum(owned) == partitions:
            return
        time.sleep(0.2)
    raise TimeoutError(f"the workers own {owned} of {partitions} partitions")
