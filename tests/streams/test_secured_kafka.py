"""A broker that asks for a password, over TLS: a worker reads, folds and answers there as on an open one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from kafka import KafkaConsumer

from streams import settings, topics
from streams.children import Child
from streams.client import EventProducer, client_args
from streams.doctor import examine
from tests.end_to_end.harness import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_worker_folds_events_of_a_broker_that_asks_for_a_password(
    make_broker: Callable[..., Any], redis_url: str, namespace: str, tmp_path: Path, mechanism: str
) -> None:
    broker = make_broker(heap_mb=256, users={"ann": "right"}, tls=True)
    given = settings.load(
        kafka=broker.bootstrap_sasl, kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism=mechanism,
        kafka_sasl_username="ann", kafka_sasl_password="right", kafka_ssl_ca=str(broker.ca),
        redis_url=redis_url, namespace=namespace, partitions=2, snapshot_dir=str(tmp_path / "snapshots"),
    )  # fmt: skip
    security = {name: value for name, value in client_args(given).items() if not name.startswith("bootstrap")}
    topics.ensure(given.kafka, namespace, partitions=2, security=security)
    worker = Child(
        [sys.executable, "-m", "streams", "worker"], log=tmp_path / "worker.log",
        env=settings.as_environment(given), cwd=ROOT,
    )  # fmt: skip
    worker.start()
    try:
        with EventProducer.of(given) as producer:
            for k in range(100):
                producer.click(f"u{k % 10}", f"i{k % 30}")
        until(lambda: _counted(redis_url, namespace) == 100, 90, worker.tail)
        assert _slates(given)
        wrong = [
            finding for finding in examine(given) if finding.what == "Kafka" and finding.state == "wrong"
        ]
        assert wrong == []
    finally:
        worker.stop()


def _plain(given: settings.Settings) -> dict[str, Any]:
    return {name: getattr(given, name) for name in settings.Settings.model_fields}


def _counted(redis_url: str, namespace: str) -> int:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        keys = [key for p in range(2) for key in client.scan_iter(f"{namespace}:{{{p}}}:n:click*")]
        return sum(int(n) for key in keys for n in client.hvals(key))


def _slates(given: settings.Settings) -> list[Any]:
    """What the worker has published, once there is something."""
    consumer = KafkaConsumer(
        f"{given.namespace}.recommendations", auto_offset_reset="earliest", **client_args(given)
    )
    found: list[Any] = []
    until(lambda: bool(found.extend(_poll(consumer)) or found), 60, lambda: "a slate")  # type: ignore[func-returns-value]
    consumer.close()
    return found


def _poll(consumer: KafkaConsumer) -> list[Any]:
    return [orjson.loads(r.value) for records in consumer.poll(timeout_ms=500).values() for r in records]
