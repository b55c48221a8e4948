"""The doctor finds what is wrong on real servers, and says for each how to mend it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import redis

from online_models.snapshot import SnapshotStore
from streams import doctor, settings, topics
from streams.doctor import Finding
from streams.embedded import EmbeddedKafka
from streams.settings import Settings
from tests.support.redis_server import RedisServer


def _found(given: Settings, *what: str) -> list[Finding]:
    return [finding for finding in doctor.examine(given) if not what or finding.what in what]


def _wrong(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.state != "ok"]


def test_nothing_there_is_two_findings_with_their_mend_and_no_error(tmp_path: Path) -> None:
    given = settings.load(
        kafka="127.0.0.1:1", redis_url="redis://:hush@127.0.0.1:1/0", snapshot_dir=str(tmp_path)
    )
    wrong = _wrong(_found(given))
    assert [finding.what for finding in wrong] == ["Redis", "Kafka"]
    assert all("set FRESHET_" in finding.mend for finding in wrong)
    assert "hush" not in str(wrong)


@pytest.mark.kafka
def test_a_deployment_as_it_should_be_is_found_so(
    kafka: str, namespace: str, make_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    given = settings.load(
        kafka=kafka, namespace=namespace, redis_url=make_redis(aof=True).url, partitions=4,
        snapshot_dir=str(tmp_path),
    )  # fmt: skip
    topics.ensure(kafka, namespace, partitions=4)
    assert [(f.what, f.detail.split(":")[-1].strip()) for f in _wrong(_found(given))] in (
        [], [("topics", "a lost broker loses events")],
    )  # fmt: skip


@pytest.mark.kafka
def test_missing_topics_and_another_partition_count_are_found(
    kafka: str, namespace: str, redis_url: str, tmp_path: Path
) -> None:
    given = settings.load(
        kafka=kafka, namespace=namespace, redis_url=redis_url, partitions=8, snapshot_dir=str(tmp_path)
    )
    missing = _wrong(_found(given, "topics"))
    assert {finding.mend for finding in missing} == {"freshet topics create"}
    assert len(missing) == len(topics.CONTRACT)
    topics.ensure(kafka, namespace, partitions=4)
    counts = [finding for finding in _found(given, "topics") if "partitions is 4, wanted 8" in finding.detail]
    assert counts and all("FRESHET_PARTITIONS=4" in finding.mend for finding in counts)


def test_a_redis_that_may_lose_state_is_found(redis_url: str, namespace: str) -> None:
    given = settings.load(kafka="127.0.0.1:1", redis_url=redis_url, namespace=namespace, partitions=8)
    client = redis.Redis.from_url(redis_url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.set(f"{namespace}:partitions", 4)
    try:
        found = {finding.mend: finding.state for finding in doctor._redis(given)}
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()
    assert found["redis-cli config set maxmemory-policy noeviction"] == "wrong"
    assert found["redis-cli config set appendonly yes"] == "warning"
    assert found["FRESHET_PARTITIONS=4"] == "wrong"


def test_a_variable_that_is_no_setting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_PARTITONS", "4")
    monkeypatch.setenv("FRESHET_TEST_KAFKA", "a:1")
    assert [f.mend for f in doctor._variables(settings.load())] == ["unset FRESHET_PARTITONS"]


def test_a_broken_newest_snapshot_is_found(tmp_path: Path) -> None:
    given = settings.load(snapshot_dir=str(tmp_path))
    store = SnapshotStore(tmp_path)
    version = store.save({"m": {"w": np.ones(3)}}, created=1, positions={}, schema="s")
    assert [f.state for f in doctor._snapshots(given)] == ["ok"]
    (tmp_path / version / "m.npz").write_bytes(b"broken")
    assert [f.state for f in doctor._snapshots(given)] == ["warning"]


def test_an_embedded_broker_is_asked_only_what_it_knows() -> None:
    pytest.importorskip("confluent_kafka", reason="the embedded Kafka needs confluent-kafka")
    with EmbeddedKafka() as broker:
        given = settings.load(kafka=broker.bootstrap, embedded=True)
        assert [(f.state, f.what) for f in doctor._kafka(given)] == [("ok", "Kafka")]
    gone = settings.load(kafka="127.0.0.1:1", embedded=True)
    assert ["freshet demo" in f.mend for f in doctor._kafka(gone)] == [True]
