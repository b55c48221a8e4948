"""The topics of a deployment: their names, what is asked of each, and making them so.

A deployment is a namespace; its topics are ``<namespace>.<topic>``. What exists and differs from the
contract is reported, never changed: a retention or a partition count is an operator's decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from online_models.errors import FreshetError

EVENTS = "events"
CATALOG = "catalog"
REQUESTS = "recommendation-requests"
RECOMMENDATIONS = "recommendations"
EXPOSURES = "exposures"
DRIFT_SIGNALS = "drift-signals"
MODEL_DELTAS = "model-deltas"
DEAD_LETTERS = "dead-letters"
EXPERIMENT_RESULTS = "experiment-results"
DELETION_RECEIPTS = "deletion-receipts"

MAX_REPLICATION = 3
MAX_PARTITIONS = 4096
_DAY_MS = 86_400_000
_NAMESPACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")  # no dot: it ends the namespace
_NONE_SUCH = 3  # UNKNOWN_TOPIC_OR_PARTITION
_AT_LEAST = frozenset({"retention.ms", "delete.retention.ms", "min.insync.replicas", "max.message.bytes"})


class BrokerUnavailable(FreshetError):
    """No broker answered, or it refused us; the text names the address and the reason."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic must be.

    ``partitions`` is None where the topic is cut like ``events``: keyed by user_id, one owner a user.
    """

    name: str
    key: str
    retention_ms: int
    partitions: int | None = None
    compact: bool = False
    timestamps: str = "CreateTime"

    def count(self, partitions: int) -> int:
        """Partitions to create, where ``events`` has ``partitions``."""
        return partitions if self.partitions is None else self.partitions

    def configs(self, replication: int) -> dict[str, str]:
        """Kafka's topic settings, as Kafka writes them.

        >>> CONTRACT[0].configs(3)["min.insync.replicas"], CONTRACT[0].configs(1)["min.insync.replicas"]
        ('2', '1')
        """
        # Compacted: retention_ms is how long a removal stays readable for a process that was away.
        kept = "delete.retention.ms" if self.compact else "retention.ms"
        return {
            "cleanup.policy": "compact" if self.compact else "delete",
            kept: str(self.retention_ms),
            "message.timestamp.type": self.timestamps,
            "min.insync.replicas": "2" if replication >= MAX_REPLICATION else "1",
            "max.message.bytes": "1048588",
        }


CONTRACT: tuple[TopicSpec, ...] = (
    # LogAppendTime: "in the future" is judged against the log, so a replay judges as the first run did.
    TopicSpec(EVENTS, "user_id", 30 * _DAY_MS, timestamps="LogAppendTime"),
    TopicSpec(CATALOG, "item_id", 7 * _DAY_MS, partitions=4, compact=True),
    TopicSpec(REQUESTS, "user_id", _DAY_MS),
    TopicSpec(RECOMMENDATIONS, "user_id", 7 * _DAY_MS),
    TopicSpec(EXPOSURES, "user_id", 30 * _DAY_MS),
    TopicSpec(DRIFT_SIGNALS, "signal", 30 * _DAY_MS, partitions=1),
    # Never compacted: deltas add up, the last one of a key is not the whole. At least twice a snapshot's age.
    TopicSpec(MODEL_DELTAS, "model", 2 * _DAY_MS, partitions=4),
    TopicSpec(DEAD_LETTERS, "source topic", 14 * _DAY_MS, partitions=4),
    # Compacted: a worker tells all that it has counted, so its last word is the whole.
    TopicSpec(EXPERIMENT_RESULTS, "worker", 7 * _DAY_MS, partitions=1, compact=True),
    TopicSpec(DELETION_RECEIPTS, "user_id", 365 * _DAY_MS, partitions=1),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the broker has it."""

    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a topic is not what the contract asks for."""

    topic: str
    setting: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.found}, wanted {self.wanted}"


def topic_name(namespace: str, topic: str) -> str:
    """The topic's full name; ValueError when the namespace cannot be part of one.

    >>> topic_name("shop", EVENTS)
    'shop.events'
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"namespace: 1 to 63 of a-z A-Z 0-9 _ -, the first no _ or -; not {namespace!r}")
    return f"{namespace}.{topic}"


def differences(
    namespace: str, found: Mapping[str, Found], *, partitions: int, replication: int
) -> list[Difference]:
    """What of ``found`` (by full name) is not as the contract asks; longer retention is no difference."""
    told: list[Difference] = []
    for spec in CONTRACT:
        name = topic_name(namespace, spec.name)
        if name not in found:
            told.append(Difference(name, "topic", "present", "missing"))
        else:
            told.extend(_differences_of_one(name, spec, found[name], partitions, replication))
    return told


def _differences_of_one(
    name: str, spec: TopicSpec, found: Found, partitions: int, replication: int
) -> Iterator[Difference]:
    if spec.partitions is None and found.partitions != partitions:
        yield Difference(name, "partitions", str(partitions), str(found.partitions))
    if found.replication < replication:
        yield Difference(name, "replication", f"at least {replication}", str(found.replication))
    for setting, wanted in spec.configs(replication).items():
        value = found.configs.get(setting, "unset")
        if setting not in _AT_LEAST and value != wanted:
            yield Difference(name, setting, wanted, value)
        if setting in _AT_LEAST and _less(value, wanted):
            yield Difference(name, setting, f"at least {wanted}", value)


def _less(value: str, wanted: str) -> bool:
    """Whether a numeric setting is below what is wanted; Kafka's -1 is "without limit"."""
    return value == "unset" or 0 <= int(value) < int(wanted)


def describe(
    bootstrap: str, namespace: str, *, security: Mapping[str, Any] | None = None, timeout_s: float = 10.0
) -> dict[str, Found]:
    """The contract's topics that exist, by full name; `BrokerUnavailable` when nothing answers in time."""
    with _admin(bootstrap, security, timeout_s) as admin:
        return _describe(admin, namespace)


def ensure(
    bootstrap: str,
    namespace: str,
    partitions: int = 32,
    replication: int | None = None,
    *,
    security: Mapping[str, Any] | None = None,
    timeout_s: float = 30.0,
) -> list[Difference]:
    """Create the topics that are missing, wait until all have leaders, and return what differs.

    Args:
        bootstrap: ``host:port``, several with commas.
        namespace: the deployment's name.
        partitions: partitions of the topics keyed by user, 1 to 4096; fixed for the namespace's life.
        replication: copies of each partition; None for 3, or as many as there are brokers.
        security: kafka-python's SASL and TLS arguments, e.g. ``{"security_protocol": "SASL_SSL", ...}``.
        timeout_s: longest wait for a broker, and then for the new topics' leaders.

    Raises:
        BrokerUnavailable: nothing answered at ``bootstrap``, or the broker refused.
    """
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise ValueError(f"partitions: 1 to {MAX_PARTITIONS}, not {partitions}")
    if replication is not None and replication < 1:
        raise ValueError(f"replication: at least 1, not {replication}")
    with _admin(bootstrap, security, timeout_s) as admin:
        copies = replication or min(MAX_REPLICATION, len(admin.describe_cluster()["brokers"]))
        present = _describe(admin, namespace)
        _create(admin, _missing(namespace, present, partitions, copies))
        names = [topic_name(namespace, spec.name) for spec in CONTRACT]
        admin.wait_for_topics(names, timeout_ms=int(timeout_s * 1000))
        return differences(namespace, _describe(admin, namespace), partitions=partitions, replication=copies)


def _missing(
    namespace: str, present: Mapping[str, Found], partitions: int, copies: int
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "num_partitions": spec.count(partitions),
            "replication_factor": copies,
            "configs": spec.configs(copies),
        }
        for spec in CONTRACT
        if (name := topic_name(namespace, spec.name)) not in present
    }


def _create(admin: Any, wanted: dict[str, dict[str, Any]]) -> None:
    if not wanted:
        return
    for told in admin.create_topics(wanted, raise_errors=False)["topics"]:
        error = for_code(told["error_code"])
        # Another process of the deployment that starts at the same time may be first.
        if told["error_code"] and error is not TopicAlreadyExistsError:
            raise BrokerUnavailable(
                f"{told['name']} was not created: {error.__name__} {told['error_message']}"
            )


def _describe(admin: Any, namespace: str) -> dict[str, Found]:
    names = [topic_name(namespace, spec.name) for spec in CONTRACT]
    there = {told["name"]: told for told in admin.describe_topics(names) if told["error_code"] != _NONE_SUCH}
    if not there:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
    configs = admin.describe_configs(asked, config_filter="all")["topic"]
    return {
        name: Found(
            partitions=len(told["partitions"]),
            replication=min((len(p["replica_nodes"]) for p in told["partitions"]), default=0),
            configs={key: str(entry["value"]) for key, entry in configs[name].items()},
        )
        for name, told in there.items()
    }


@contextmanager
def _admin(bootstrap: str, security: Mapping[str, Any] | None, timeout_s: float) -> Iterator[Any]:
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id="freshet-topics",
            bootstrap_timeout_ms=int(timeout_s * 1000),
            **(security or {}),
        )
    except KafkaError as error:
        raise BrokerUnavailable(f"no Kafka at {bootstrap}: {error}") from error
    try:
        yield admin
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap} did not do as asked: {error}") from error
    finally:
        admin.close()
