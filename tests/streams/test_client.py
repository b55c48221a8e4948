"""The producer SDK on a broker: what arrives is what freshet reads, and nothing it would refuse is sent."""

from collections.abc import Iterator

import orjson
import pytest

from streams import settings, tail, topics, validation
from streams.client import EventProducer, EventRefused, client_args
from streams.embedded import EmbeddedKafka
from streams.partitioner import partition_of
from streams.produce import produce
from streams.replay import Pace, events_of, replay
from streams.settings import Settings
from streams.validation import Rules


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    pytest.importorskip("confluent_kafka", reason="the embedded Kafka needs confluent-kafka")
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def deployment(request: pytest.FixtureRequest, namespace: str) -> Settings:
    """A deployment of 4 partitions, on the mock broker and on a real one."""
    if request.param == "real":
        bootstrap = request.getfixturevalue("kafka")
        topics.ensure(bootstrap, namespace, partitions=4)
        return settings.load(kafka=bootstrap, namespace=namespace)
    broker: EmbeddedKafka = request.getfixturevalue("broker")
    broker.ensure(namespace)
    return settings.load(kafka=broker.bootstrap, namespace=namespace, embedded=True)


def _read(deployment: Settings, topic: str, count: int) -> list[tail.Seen]:
    return list(tail.follow(deployment, topic, from_start=True, limit=count, idle_s=10.0))


def test_everything_a_producer_can_say_arrives_valid_and_where_its_user_lives(deployment: Settings) -> None:
    with EventProducer.of(deployment) as producer:
        producer.impression("alice", ["m1", "m2"], request_id="r")
        producer.click("alice", "m2", request_id="r", event_id="c-1")
        producer.action("bob", "m2", "purchase", value=3.5)
        producer.profile("bob", {"age": 30}, group="b")
        producer.identify("bob", "anonymous-1")
        producer.privacy("carol", "deletion")
    rules = Rules(actions=frozenset(deployment.actions))
    seen = _read(deployment, "events", 6)
    events = [validation.event(record.value, 2**42, rules) for record in seen]
    assert sorted(e.type for e in events if not isinstance(e, validation.Rejected)) == [
        "action", "click", "identify", "impression", "privacy", "profile",
    ]  # fmt: skip
    for record in seen:
        assert record.key is not None
        assert record.partition == partition_of(record.key, 4)
    [click] = [e for e in events if not isinstance(e, validation.Rejected) and e.type == "click"]
    assert click.event_id == "c-1"


def test_items_arrive_change_and_are_retired(deployment: Settings) -> None:
    with EventProducer.of(deployment) as producer:
        producer.item("m1", title="Toy Story", tags=["animation"])
        producer.retire("m1")
        asked = producer.request("alice", n=5)
    first, last = _read(deployment, "catalog", 2)
    assert orjson.loads(first.value or b"")["title"] == "Toy Story"
    assert (last.key, last.value) == (b"m1", None)
    [request] = _read(deployment, "recommendation-requests", 1)
    assert orjson.loads(request.value or b"")["request_id"] == asked


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"item_id": ""}, "item_id"),
        ({"item_id": "m1", "ts": 2**45}, "ts"),
        ({"item_id": "m1", "surface": 7}, "surface"),
    ],
)
def test_what_freshet_would_refuse_is_refused_before_it_is_sent(
    deployment: Settings, wrong: dict[str, object], field: str
) -> None:
    with EventProducer.of(deployment) as producer:
        with pytest.raises(EventRefused) as told:
            producer.click("alice", **wrong)  # type: ignore[arg-type]
        assert told.value.field == field
        with pytest.raises(EventRefused, match="declared"):
            producer.action("alice", "m1", "teleport")
        producer.click("alice", "m1")
    assert len(_read(deployment, "events", 1)) == 1


def test_lines_are_produced_and_the_bad_ones_named_by_their_number(deployment: Settings) -> None:
    lines = [
        b'{"type":"click","event_id":"e1","user_id":"u","ts":5,"item_id":"i"}\n', b"\n", b"{broken\n",
        b'{"type":"click","event_id":"e2","user_id":"u","ts":5}\n', b"[1]\n",
    ]  # fmt: skip
    with EventProducer.of(deployment) as producer:
        sent, refused = produce(lines, producer, "events")
        assert (sent, [number for number, _ in refused]) == (1, [3, 4, 5])
        assert "item_id" in refused[1][1]
        assert produce(lines, producer, "events", checked=False) == (4, [])
    assert len(_read(deployment, "events", 5)) == 5


def test_a_replay_keeps_order_and_times_and_stops_at_its_limit(deployment: Settings) -> None:
    events = [
        {"type": "click", "event_id": f"e{k}", "user_id": "u", "ts": k, "item_id": "i"} for k in range(50)
    ]
    counts: list[int] = []
    with EventProducer.of(deployment) as producer:
        done = replay(events, producer, limit=20, progress=counts.append)
    assert (done.events, done.refused, counts[-1]) == (20, 0, 20)
    seen = [orjson.loads(r.value or b"")["ts"] for r in _read(deployment, "events", 20)]
    assert seen == list(range(20))


def test_a_replay_waits_for_original_timing_speed_and_rate() -> None:
    class Silent(EventProducer):
        def __init__(self) -> None: ...
        def event(self, event: object) -> str:
            return ""

        def flush(self, timeout_s: float = 30.0) -> None: ...

    def slept(pace: Pace) -> float:
        now, total = 0.0, 0.0

        def sleep(seconds: float) -> None:
            nonlocal now, total
            now, total = now + seconds, total + seconds

        events = [{"ts": ts} for ts in (1_000, 2_000, 5_000)]
        replay(events, Silent(), pace=pace, clock=lambda: now, sleep=sleep)
        return total

    assert slept(Pace()) == 0.0
    assert slept(Pace(speed=1.0)) == 4.0
    assert slept(Pace(speed=100.0)) == pytest.approx(0.04)
    assert slept(Pace(rate=2.0)) == 1.0
    with pytest.raises(ValueError, match="speed must be above 0"):
        Pace(speed=0.0)


def test_a_data_sets_events_can_be_cut_by_rating(tmp_path: object) -> None:
    from pathlib import Path

    from evaluation.datasets import open_dataset

    path = Path(str(tmp_path)) / "u.data"
    path.write_text("1\t5\t5\t20\n1\t4\t2\t10\n2\t4\t4\t15\n")
    dataset = open_dataset(path)
    assert [e["item_id"] for e in events_of(dataset)] == ["4", "4", "5"]
    assert [e["event_id"] for e in events_of(dataset, min_rating=4, source="ml")] == ["ml-1", "ml-2"]


@pytest.mark.kafka
def test_following_a_topic_that_is_missing_says_what_makes_it(kafka: str, namespace: str) -> None:
    with pytest.raises(tail.NoSuchTopic, match="freshet topics create"):
        next(tail.follow(settings.load(kafka=kafka, namespace=namespace), "events"))


def test_following_begins_at_the_end(deployment: Settings) -> None:
    with EventProducer.of(deployment) as producer:
        producer.click("u", "before")
        producer.flush()

        def ready() -> None:
            producer.click("u", "after")
            producer.flush()

        [seen] = tail.follow(deployment, "events", limit=1, idle_s=10.0, ready=ready)
    assert b"after" in (seen.value or b"")


def test_security_settings_become_the_clients_arguments() -> None:
    secured = settings.load(
        kafka="a:1, b:2", kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="app", kafka_sasl_password="hush", kafka_ssl_ca="/ca.pem",
    )  # fmt: skip
    args = client_args(secured)
    assert args["bootstrap_servers"] == ["a:1", "b:2"]
    assert (args["sasl_plain_password"], args["ssl_cafile"]) == ("hush", "/ca.pem")
    assert "api_version" not in args


@pytest.mark.parametrize(
    ("topic", "value", "shown"),
    [
        (
            "recommendations",
            {"user_id": "u", "freshness_ms": 9, "items": [{"item_id": "m", "score": 3.14159}]},
            "u  9 ms  m 3.14",
        ),
        (
            "recommendations",
            {"user_id": "u", "degraded": "no index", "items": []},
            "u  degraded: no index",
        ),
        (
            "dead-letters",
            {"id": "t-0-1", "reason": "json", "detail": "not JSON", "raw": "GxtbMm17"},
            "t-0-1  json: not JSON  \\x1b\\x1b[2m{",
        ),
        (
            "drift-signals",
            {"name": "ctr", "detector": "adwin", "severity": "page", "statistic": 0.5, "threshold": 0.1},
            "ctr  adwin  page  0.5 against 0.1",
        ),
    ],
)
def test_a_record_is_one_readable_line(topic: str, value: dict[str, object], shown: str) -> None:
    seen = tail.Seen("t", 0, 0, 0, b"k", orjson.dumps(value))
    assert tail.line(topic, seen).removeprefix("00:00:00 ").strip() == shown


def test_bytes_that_are_no_json_are_shown_and_do_not_command_the_terminal() -> None:
    shown = tail.line("events", tail.Seen("t", 0, 0, 0, b"k", b"\xff\x1b[2J\n"))
    assert shown.isprintable()
