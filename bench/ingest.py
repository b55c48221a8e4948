"""Events/s of one worker, from fetch to commit and publish, beside a stock Faust agent that does nothing.

Both read the same preloaded topic in the same run, one after the other, several times in turn. The worker's own
slates come back as exposures behind what was preloaded; the preloaded part holds as many exposures by itself.
"""

from __future__ import annotations

import time
import uuid
from itertools import islice
from typing import Any, NamedTuple

from bench import limits, report, stages
from bench.deployment import Deployment, Process, cpu_s, servers
from bench.traffic import Traffic
from tests.kafka.broker import KafkaBroker
from tests.support.redis_server import RedisServer

TRADES: dict[str, Any] = {"negative_rate": 0.25, "order_learning_share": 0.05}
"""What is traded for speed: every figure is of these settings, and says so."""
_WARM = 0.4
_SEEN = 0.98


class Rate(NamedTuple):
    """How fast, over the measured part of a run."""

    per_s: float
    cpu_us: float  # of the process, per event
    redis_us: float = 0.0
    slates: float = 0.0  # share of clicks whose slate was published


def run(*, long: bool = False) -> report.Result:
    """The benchmark: a worker as it comes, and one that has a process for its slates."""
    events, repeats = (400_000, 5) if long else (100_000, 2)
    plain, apart = [], []
    with servers() as (broker, redis):
        for _ in range(repeats):
            plain.append(_pair(broker, redis, events))
            apart.append(_pair(broker, redis, events, slate_process=True))
        with _deployment(broker, redis) as deployment:
            preload(deployment, events // 2)
            alone = limits.measure(deployment, events // 2)
    figures = {
        **_figures(plain),
        "with_slate_process": _figures(apart),
        "cpu_us_by_stage": stages.measure(20_000, 40_000, **TRADES),
        "cpu_us_alone": alone,
    }
    return report.finished("ingest", figures, {"events": events, "partitions": 32, **TRADES})


def _deployment(broker: KafkaBroker, redis: RedisServer, **more: Any) -> Deployment:
    redis.flush()
    return Deployment(broker, redis, f"bench-{uuid.uuid4().hex[:8]}", **TRADES, **more)


def _pair(broker: KafkaBroker, redis: RedisServer, events: int, **more: Any) -> tuple[Rate, Rate]:
    """What the stock agent and the worker make of the same topic."""
    with _deployment(broker, redis, **more) as deployment:
        clicks = preload(deployment, events)
        return stock_rate(deployment, events), worker_rate(deployment, events, clicks)


def _figures(pairs: list[tuple[Rate, Rate]]) -> dict[str, Any]:
    stock, ours = [s for s, _ in pairs], [o for _, o in pairs]
    return {
        "stock_events_per_s": report.spread([r.per_s for r in stock], 0),
        "events_per_s": report.spread([r.per_s for r in ours], 0),
        "ratio": report.spread([o.per_s / s.per_s for s, o in pairs]),
        "stock_cpu_us_per_event": report.spread([r.cpu_us for r in stock], 1),
        "cpu_us_per_event": report.spread([r.cpu_us for r in ours], 1),
        "cpu_ratio": report.spread([s.cpu_us / o.cpu_us for s, o in pairs]),
        "redis_cpu_us_per_event": report.spread([r.redis_us for r in ours], 1),
        "clicks_with_slate": report.spread([r.slates for r in ours], 3),
    }


def preload(deployment: Deployment, events: int, *, span_s: float = 240.0, **traffic: Any) -> int:
    """Put so many events into the topic, with times of the last ``span_s`` seconds; returns how many are clicks."""
    start = time.time_ns() // 1_000_000 - round(1_000 * span_s)
    records = list(islice(Traffic(start_ms=start, step_ms=1_000 * span_s / events, **traffic), events))
    deployment.produce(records)
    return sum(record.kind == "click" for record in records)


def stock_rate(deployment: Deployment, events: int) -> Rate:
    """What the do-nothing agent reaches."""
    progress, topic = deployment.folder / "progress", f"{deployment.settings.namespace}.events"
    agent = deployment.python(
        "bench.stock", deployment.broker.bootstrap, topic, f"{topic}-stock", str(progress)
    )
    seen: list[tuple[int, float, float]] = []
    until = time.monotonic() + 120.0
    while not seen or seen[-1][0] < _SEEN * events:
        if time.monotonic() > until or not agent.child.running:
            raise TimeoutError(f"the stock agent stopped at {seen[-1:]}\n{agent.child.tail()}")
        time.sleep(0.02)
        words = progress.read_text().split() if progress.exists() else []
        if len(words) == 3:
            seen.append((int(words[0]), float(words[1]), float(words[2])))
    agent.stop()
    first = next(s for s in seen if s[0] >= _WARM * events)
    last = seen[-1]
    count = last[0] - first[0]
    return Rate(count / (last[1] - first[1]), 1e6 * (last[2] - first[2]) / count)


def worker_rate(deployment: Deployment, events: int, clicks: int) -> Rate:
    """What a whole worker reaches on the same records."""
    worker = deployment.worker()
    deployment.wait_folded(round(_WARM * events), worker=worker)
    begin = _Now(deployment, worker)
    deployment.wait_folded(round(_SEEN * events), worker=worker)
    end = _Now(deployment, worker)
    slates = end.slates - begin.slates
    worker.stop()
    count = end.folded - begin.folded
    return Rate(
        count / (end.at - begin.at),
        1e6 * (end.worker_s - begin.worker_s) / count,
        1e6 * (end.redis_s - begin.redis_s) / count,
        slates / (clicks * count / events),
    )


class _Now:
    """Where a run stands."""

    def __init__(self, deployment: Deployment, worker: Process) -> None:
        self.folded, self.at = deployment.folded(), time.perf_counter()
        self.worker_s, self.redis_s = worker.cpu_s(), cpu_s(deployment.redis.pid)
        self.slates = worker.metrics().get("freshet_slates_published_total", 0.0)
