"""From a click to its user's new slate on ``recommendations``: how long it takes, and how many clicks get one.

The worker is caught up and warm; events then come at a steady pace, whether or not it keeps up (open loop). Half of
the partitions get a twentieth of the traffic, so busy and idle ones stand side by side.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from bench import ingest, report
from bench.deployment import Deployment, Process, servers
from bench.traffic import Sent, Traffic
from streams.partitioner import partition_of

SHARES = (0.25, 0.5, 0.8)
FIXED = (300.0, 600.0)  # events/s, whatever ingest reaches
PARTITIONS = 8  # of one worker; more of them make more and smaller commits of the same traffic
LINGER_MS = 5.0
"""Of the sender, as its client has it by default; it is part of what is measured."""
_WARM = 40_000
_PATIENCE_S = 3.0
_IDLE_KEPT = 20  # of the idle partitions' events one in so many is sent


def run(*, long: bool = False) -> report.Result:
    """The benchmark; the paces are shares of what ``ingest`` reached last on this machine."""
    seconds, repeats = (60.0, 3) if long else (6.0, 1)
    rate = _ingest_rate()
    figures: dict[str, Any] = {"ingest_events_per_s": rate}
    with servers() as (broker, redis):
        name = f"bench-{uuid.uuid4().hex[:8]}"
        given = {**ingest.TRADES, "partitions": PARTITIONS}
        with Deployment(broker, redis, name, **given) as deployment:
            ingest.preload(deployment, _WARM)
            worker = deployment.worker()
            deployment.wait_folded(_WARM, worker=worker)
            _wait_for_slates(worker)
            paces = {f"at_{n:.0f}_per_s": n for n in FIXED} | {f"at_{s:.0%}": s * rate for s in SHARES}
            for seed, (name, per_s) in enumerate(paces.items(), start=1):
                runs = [one_pace(deployment, per_s, seconds, seed=seed + 100 * k) for k in range(repeats)]
                figures[name] = {name: report.spread([run[name] for run in runs], 3) for name in runs[0]}
    return report.finished("freshness", figures, {"seconds": seconds, **deployment.given})


def _wait_for_slates(worker: Process) -> None:
    """Until those the warm-up owes are made: a worker that keeps up makes them all."""
    made = -1.0
    while (now := worker.metrics().get("freshet_slates_published_total", 0.0)) != made:
        made = now
        time.sleep(1.0)


def _ingest_rate() -> float:
    file = report.RESULTS / "ingest.json"
    if not file.exists():
        raise SystemExit("freshness needs the rate that ingest reaches:  python -m bench ingest")
    return float(orjson.loads(file.read_bytes())["events_per_s"]["median"])


def one_pace(deployment: Deployment, per_s: float, seconds: float, *, seed: int) -> dict[str, float]:
    """Latency of slates, ms, and the share of clicks that got one, at one pace."""
    heard = _Slates(deployment)
    clicks, late_s = _send(deployment, per_s, seconds, seed)
    time.sleep(_PATIENCE_S)
    told = heard.stop()
    waits = _waits(clicks, told)
    time.sleep(1.0)
    return {
        "events_per_s": per_s,
        "clicks": float(len(clicks)),
        "published_share": len(waits) / max(len(clicks), 1),
        "p50_ms": 1e3 * report.percentile(waits, 50),
        "p99_ms": 1e3 * report.percentile(waits, 99),
        "sender_late_ms": 1e3 * late_s,
    }


def _events(deployment: Deployment, seed: int) -> Iterator[Sent]:
    partitions, count = deployment.settings.partitions, 0
    for sent in Traffic(seed=seed, start_ms=time.time_ns() // 1_000_000 - 60_000, step_ms=0.2):
        idle = partition_of(sent.user_id, partitions) >= partitions // 2
        count += idle
        if not idle or count % _IDLE_KEPT == 0:
            yield sent


def _send(
    deployment: Deployment, per_s: float, seconds: float, seed: int
) -> tuple[dict[str, tuple[str, float]], float]:
    """Produce at a steady pace; clicks as event id -> (user, when), and how far behind its pace the sender fell."""
    settings = deployment.settings
    producer = Producer({"bootstrap.servers": deployment.broker.bootstrap, "linger.ms": LINGER_MS})
    topic, clicks, late = f"{settings.namespace}.events", {}, 0.0
    events = list(islice(_events(deployment, seed), round(per_s * seconds)))
    begun = time.perf_counter()
    for k, sent in enumerate(events):
        ahead = begun + k / per_s - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        late = max(late, -ahead)
        if sent.kind == "click":
            clicks[sent.event_id] = (sent.user_id, time.perf_counter())
        partition = partition_of(sent.user_id, settings.partitions)
        producer.produce(topic, sent.value, sent.user_id.encode(), partition)
        producer.poll(0)
    producer.flush(10)
    return clicks, late


class _Slates:
    """Hears ``recommendations`` in a thread: which click caused a slate, and when it was heard."""

    def __init__(self, deployment: Deployment) -> None:
        self._told: dict[str, float] = {}
        self._ended = threading.Event()
        settings = deployment.settings
        self._consumer = Consumer(
            {
                "bootstrap.servers": deployment.broker.bootstrap,
                "group.id": "bench",
                "enable.auto.commit": False,
            }
        )
        topic = f"{settings.namespace}.recommendations"
        places = [TopicPartition(topic, p) for p in range(settings.partitions)]
        ends = [self._consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
        self._consumer.assign([TopicPartition(topic, p, end) for p, end in enumerate(ends)])
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                now = time.perf_counter()
                self._told.setdefault(orjson.loads(message.value())["caused_by"], now)

    def stop(self) -> dict[str, float]:
        """What was heard."""
        self._ended.set()
        self._thread.join()
        self._consumer.close()
        return self._told


def _waits(clicks: dict[str, tuple[str, float]], told: dict[str, float]) -> list[float]:
    """How long each click waited, s, for the slate it caused or that a later click of its user caused."""
    waits, next_slate = [], dict[str, float]()
    for event_id, (user_id, sent) in reversed(clicks.items()):
        if event_id in told:
            next_slate[user_id] = told[event_id]
        if user_id in next_slate:
            waits.append(next_slate[user_id] - sent)
    return waits
