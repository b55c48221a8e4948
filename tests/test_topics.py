"""The topic contract: what is asked, how differences are told, and what a real broker makes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.children import free_port
from streams.topics import (
    CATALOG,
    CONTRACT,
    EVENTS,
    EXPERIMENT_RESULTS,
    MODEL_DELTAS,
    BrokerUnavailable,
    Difference,
    Found,
    TopicSpec,
    describe,
    differences,
    ensure,
    topic_name,
)
from tests.kafka.broker import KafkaBroker


def _as_wanted(namespace: str, partitions: int, replication: int) -> dict[str, Found]:
    return {
        topic_name(namespace, spec.name): Found(
            spec.count(partitions), replication, spec.configs(replication)
        )
        for spec in CONTRACT
    }


def _spec(name: str) -> TopicSpec:
    return next(spec for spec in CONTRACT if spec.name == name)


def test_a_namespace_that_could_not_name_a_topic_is_refused() -> None:
    for bad in ("", "a.b", "-a", "a b", "é", "x" * 64):
        with pytest.raises(ValueError, match="namespace"):
            topic_name(bad, EVENTS)


def test_every_topic_keyed_by_user_that_is_read_in_a_group_is_cut_like_events() -> None:
    cut_alike = {spec.name for spec in CONTRACT if spec.partitions is None}
    assert cut_alike == {"events", "recommendation-requests", "recommendations", "exposures"}


def test_what_a_last_word_replaces_is_compacted_and_deltas_never() -> None:
    assert [spec.name for spec in CONTRACT if spec.compact] == [CATALOG, EXPERIMENT_RESULTS]
    assert _spec(MODEL_DELTAS).configs(3)["cleanup.policy"] == "delete"


@given(st.integers(1, 4096), st.integers(1, 3))
def test_topics_made_by_the_contract_do_not_differ_from_it(partitions: int, replication: int) -> None:
    found = _as_wanted("n", partitions, replication)
    assert differences("n", found, partitions=partitions, replication=replication) == []


def test_a_missing_topic_is_a_difference() -> None:
    found = _as_wanted("n", 4, 1)
    del found["n.events"]
    assert differences("n", found, partitions=4, replication=1) == [
        Difference("n.events", "topic", "present", "missing")
    ]


def _with(found: dict[str, Found], topic: str, **configs: str) -> dict[str, Found]:
    old = found[topic]
    merged = {**old.configs, **{key.replace("_", "."): value for key, value in configs.items()}}
    return {**found, topic: Found(old.partitions, old.replication, merged)}


def test_shorter_retention_is_a_difference_and_longer_or_endless_is_none() -> None:
    found = _as_wanted("n", 4, 1)
    shorter = differences("n", _with(found, "n.events", retention_ms="1000"), partitions=4, replication=1)
    assert [str(d) for d in shorter] == ["n.events: retention.ms is 1000, wanted at least 2592000000"]
    for longer in ("99999999999", "-1"):
        assert not differences(
            "n", _with(found, "n.events", retention_ms=longer), partitions=4, replication=1
        )


def test_a_compacted_delta_topic_and_producer_timestamps_are_told() -> None:
    found = _with(_as_wanted("n", 4, 1), "n.model-deltas", cleanup_policy="compact")
    found = _with(found, "n.events", message_timestamp_type="CreateTime")
    told = {(d.topic, d.setting, d.found) for d in differences("n", found, partitions=4, replication=1)}
    assert told == {
        ("n.model-deltas", "cleanup.policy", "compact"),
        ("n.events", "message.timestamp.type", "CreateTime"),
    }


def test_arguments_out_of_range_are_refused_before_any_broker_is_asked() -> None:
    with pytest.raises(ValueError, match="1 to 4096"):
        ensure("127.0.0.1:1", "n", partitions=0)
    with pytest.raises(ValueError, match="at least 1"):
        ensure("127.0.0.1:1", "n", replication=0)


def test_where_no_broker_listens_the_error_names_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailable, match=address):
        describe(address, "n", timeout_s=0.5)


def test_a_real_broker_ends_up_with_exactly_the_contract(kafka: str, namespace: str) -> None:
    assert ensure(kafka, namespace, partitions=4) == []
    found = describe(kafka, namespace)
    assert set(found) == {topic_name(namespace, spec.name) for spec in CONTRACT}
    assert found[f"{namespace}.events"].partitions == 4
    assert found[f"{namespace}.events"].configs["message.timestamp.type"] == "LogAppendTime"
    assert found[f"{namespace}.catalog"].configs["cleanup.policy"] == "compact"
    assert ensure(kafka, namespace, partitions=4) == []


def test_what_exists_otherwise_is_told_and_left_as_it_is(kafka: str, namespace: str) -> None:
    events = topic_name(namespace, EVENTS)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics({events: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    told = {d.setting: d.found for d in ensure(kafka, namespace, partitions=4)}
    assert told == {
        "partitions": "2",
        "message.timestamp.type": "CreateTime",
        "retention.ms": "604800000",
    }
    configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, events)], config_filter="all")
    assert configs["topic"][events]["retention.ms"]["value"] == "604800000"
    admin.close()


def test_several_processes_may_make_the_topics_at_once(kafka: str, namespace: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ensure, kafka, namespace, 4) for _ in range(4)]
        assert [one.result() for one in asked] == [[], [], [], []]


def test_events_carry_the_brokers_time_whatever_a_producer_says(kafka: str, namespace: str) -> None:
    ensure(kafka, namespace, partitions=1)
    producer = KafkaProducer(bootstrap_servers=kafka)
    sent = producer.send(topic_name(namespace, EVENTS), key=b"u", value=b"{}", timestamp_ms=1_000)
    assert sent.get(20).timestamp > 1_000_000_000_000
    producer.close()


def test_more_copies_than_brokers_is_refused_with_the_brokers_reason(kafka: str, namespace: str) -> None:
    with pytest.raises(BrokerUnavailable, match="InvalidReplicationFactor"):
        ensure(kafka, namespace, partitions=1, replication=9)


def test_a_broker_that_asks_for_a_password_is_given_one_and_refuses_a_wrong_one(
    make_broker: Callable[..., KafkaBroker], namespace: str
) -> None:
    broker = make_broker(heap_mb=256, users={"ann": "right"})
    right: dict[str, Any] = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "ann",
        "sasl_plain_password": "right",
    }
    assert ensure(broker.bootstrap_sasl, namespace, partitions=1, security=right) == []
    assert len(describe(broker.bootstrap_sasl, namespace, security=right)) == len(CONTRACT)
    with pytest.raises(BrokerUnavailable, match=broker.bootstrap_sasl):
        describe(
            broker.bootstrap_sasl, namespace, security={**right, "sasl_plain_password": "wrong"}, timeout_s=3
        )
