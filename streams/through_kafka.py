"""``evaluate prequential --through kafka``: a stream replayed through a real broker, Redis and a worker process.

Each event is produced under its user's key; the worker folds, learns, and publishes the user's fresh slate on
``recommendations``, which the user's next event is judged by. A user's event waits for the slate that the one before
caused, so that the log is paced by its own answers.
"""

from __future__ import annotations

import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from evaluation.prequential import prequential
from evaluation.protocol import Event
from evaluation.slate_replay import EVENTS_A_DAY, PLAIN, SlateTally, in_process, wire_events
from online_models.errors import FreshetError
from streams import settings as freshet_settings
from streams import topics
from streams.children import LOOPBACK, Child, free_port
from streams.client import EventProducer, client_args
from streams.embedded import PARTITIONS, EmbeddedKafka, EmbeddedRedis
from streams.settings import Settings
from streams.topics import topic_name

START_TIMEOUT_S = 90.0
SLATE_TIMEOUT_S = 30.0
MAYBE_TIMEOUT_S = 1.0
"""While there may be nothing to make a slate of, it is waited for so long and no longer."""
IN_FLIGHT = 1
"""Events whose slates are awaited at once, each of another user; with one the log is in the order of the file."""
SURE = 8
"""Items seen from which on every user can be made a slate of something."""


class SlateOverdue(FreshetError):
    """A slate did not come; the text says whose."""


def run(
    events: Sequence[Event], *, k: int, seed: int = 0, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Both arms on the same events, and their ratio.

    Args:
        k: length of the slates.
        given: settings; with ``kafka`` among them the broker and Redis are those, else embedded ones.

    Returns:
        Hits of both arms, ``relative`` (theirs over each other's), and ``recall_as_ranked``: of the same events by the
        protocol of :mod:`evaluation.prequential`, which asks just before the next event and not just after the last.

    Raises:
        SlateOverdue: the worker fell silent.
    """
    alone = in_process(events, k=k, seed=seed)
    begun = time.monotonic()
    with deployment(k, seed, given or {}) as settings:
        ready = time.monotonic()
        through = Replay(settings, k).run(events)
    seconds = time.monotonic() - ready
    ratio = through.hits / alone.hits if alone.hits else None
    ranked = prequential(events, seed=seed, sources=False).recall_at_10
    return {
        "through": "kafka", "k": k, "seed": seed, "kafka": through.told(), "in_process": alone.told(),
        "recall_as_ranked": ranked,
        "relative": ratio, "events_per_s": len(events) / max(seconds, 1e-9), "start_s": ready - begun,
    }  # fmt: skip


@contextmanager
def deployment(k: int, seed: int, given: Mapping[str, Any]) -> Iterator[Settings]:
    """A worker on a namespace of its own, on embedded parts unless ``given`` names a broker."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="freshet-replay-")))
        settings = freshet_settings.load(**{**_ours(k, seed, folder), **_places(stack, given)})
        if not settings.embedded:
            topics.ensure(settings.kafka, settings.namespace, settings.partitions)
        worker = Child(
            [sys.executable, "-m", "streams", "worker"], log=folder / "worker.log",
            env=freshet_settings.as_environment(settings),
        )  # fmt: skip
        worker.start()
        stack.callback(worker.stop)
        worker.wait_ready(lambda: _owns_all(settings), timeout_s=START_TIMEOUT_S, what="the worker")
        yield settings


def _ours(k: int, seed: int, folder: Path) -> dict[str, Any]:
    """Settings under which slates are the order and nothing else, all are made, and the order is always learnt."""
    return {
        "namespace": f"replay-{uuid.uuid4().hex[:8]}",
        "partitions": PARTITIONS,
        "snapshot_dir": str(folder / "snapshots"),
        "metrics_port": free_port(),
        "log_format": "text",
        "seed": seed,
        "recommend_n": k,
        "surfaces": {"default": PLAIN},
        "exploration": False,
        "events_per_user_day": EVENTS_A_DAY,
        "order_learning_share": 1.0,
        "slate_cpu_share": 1.0,
        "slate_wait_s": 600.0,
    }


def _places(stack: ExitStack, given: Mapping[str, Any]) -> dict[str, Any]:
    if "kafka" in given:
        return dict(given)
    redis = stack.enter_context(EmbeddedRedis())
    kafka = stack.enter_context(EmbeddedKafka())
    namespace = str(given.get("namespace", "replay"))
    kafka.ensure(namespace)
    places = {"embedded": True, "kafka": kafka.bootstrap, "redis_url": redis.url, "namespace": namespace}
    return {**places, **given}


def _owns_all(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://{LOOPBACK}:{settings.metrics_port}/metrics", timeout=1.0
        ) as answer:
            return f"freshet_owned_partitions {float(settings.partitions)}" in answer.read().decode()
    except (OSError, urllib.error.HTTPError):
        return False


class Replay:
    """One pass of events through a running deployment."""

    def __init__(self, settings: Settings, k: int) -> None:
        self._settings = settings
        self._tally = SlateTally(k)
        self._newest: dict[str, list[str]] = {}
        self._waiting: dict[
            str, tuple[str, float, bool]
        ] = {}  # user -> event, until when, whether it must come

    def run(self, events: Sequence[Event]) -> SlateTally:
        """Replay and judge."""
        with EventProducer.of(self._settings, linger_ms=0) as producer:
            consumer = KafkaConsumer(
                **client_args(self._settings), group_id=None, enable_auto_commit=False, fetch_max_wait_ms=20
            )
            try:
                self._place(consumer)
                for event, wire in zip(events, wire_events(events), strict=True):
                    self._one(producer, consumer, event, wire)
            finally:
                consumer.close()
        return self._tally

    def _one(self, producer: EventProducer, consumer: Any, event: Event, wire: dict[str, Any]) -> None:
        user = wire["user_id"]
        self._await(consumer, lambda: user not in self._waiting and len(self._waiting) < IN_FLIGHT)
        self._tally.score(event, self._newest.get(user))
        producer.event(wire)
        must = self._tally.choices > SURE
        until = time.monotonic() + (SLATE_TIMEOUT_S if must else MAYBE_TIMEOUT_S)
        self._waiting[user] = (wire["event_id"], until, must)

    def _await(self, consumer: Any, holds: Callable[[], bool]) -> None:
        while not holds():
            for records in consumer.poll(timeout_ms=50).values():
                for record in records:
                    self._take(orjson.loads(record.value or b"{}"))
            self._give_up(time.monotonic())

    def _give_up(self, now: float) -> None:
        for user, (event_id, until, must) in list(self._waiting.items()):
            if now < until:
                continue
            if must:
                raise SlateOverdue(f"no slate within {SLATE_TIMEOUT_S:g} s of event {event_id}")
            del self._waiting[user]

    def _take(self, told: dict[str, Any]) -> None:
        user = told["user_id"]
        self._newest[user] = [item["item_id"] for item in told["items"]]
        if user in self._waiting and self._waiting[user][0] == told["caused_by"]:
            del self._waiting[user]

    def _place(self, consumer: Any) -> None:
        name = topic_name(self._settings.namespace, "recommendations")
        deadline = time.monotonic() + SLATE_TIMEOUT_S
        while not (numbers := consumer.partitions_for_topic(name)):
            if time.monotonic() > deadline:
                raise SlateOverdue(f"there is no topic {name}")
            time.sleep(0.1)
        places = [TopicPartition(name, number) for number in sorted(numbers)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
