"""What goes out, as it comes, one readable line a record."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from online_models.errors import FreshetError
from streams.client import client_args, need_embedded
from streams.settings import Settings
from streams.topics import topic_name

TOPICS = (
    "recommendations",
    "drift-signals",
    "dead-letters",
    "exposures",
    "experiment-results",
    "deletion-receipts",
    "events",
    "catalog",
)


class NoSuchTopic(FreshetError):
    """The topic is not there; the text says what creates it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was read."""

    topic: str
    partition: int
    offset: int
    ts: int
    key: bytes | None
    value: bytes | None


def follow(
    settings: Settings,
    topic: str,
    *,
    from_start: bool = False,
    idle_s: float | None = None,
    limit: int | None = None,
    ready: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Seen]:
    """Records of one of the deployment's topics, of all partitions, as a reader of no group.

    Args:
        from_start: begin at the oldest record kept, else after the newest.
        idle_s: end when nothing came for so long; None waits for ever.
        limit: end after so many.
        ready: called once, when the place to begin is fixed: what is produced from then on is seen.

    Raises:
        NoSuchTopic: there is no such topic.
    """
    name = topic_name(settings.namespace, topic)
    if settings.embedded:
        need_embedded(settings)
    consumer = KafkaConsumer(**client_args(settings), group_id=None, enable_auto_commit=False)
    try:
        _place(consumer, name, from_start=from_start)
        ready()
        count, last = 0, clock()
        while (limit is None or count < limit) and (idle_s is None or clock() - last < idle_s):
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    last, count = clock(), count + 1
                    yield _seen(record)
                    if count == limit:
                        return
    finally:
        consumer.close()


def _place(consumer: Any, name: str, *, from_start: bool) -> None:
    numbers = consumer.partitions_for_topic(name)
    if not numbers:
        raise NoSuchTopic(f"there is no topic {name}:  freshet topics create")
    places = [TopicPartition(name, number) for number in sorted(numbers)]
    consumer.assign(places)
    (consumer.seek_to_beginning if from_start else consumer.seek_to_end)(*places)
    for place in places:
        consumer.position(place)


def _seen(record: Any) -> Seen:
    return Seen(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)


def line(topic: str, seen: Seen) -> str:
    """A record for people to read; one that is no JSON is shown as it is.

    >>> line("drift-signals", Seen("t", 0, 7, 0, b"k", b'{"name": "ctr", "detector": "adwin", "severity": "page"}'))
    '00:00:00 ctr  adwin  page'
    """
    moment = datetime.fromtimestamp(seen.ts / 1_000.0, UTC).strftime("%H:%M:%S")
    if seen.value is None:
        return f"{moment} {_text(seen.key)}  retired"
    try:
        value = orjson.loads(seen.value)
    except orjson.JSONDecodeError:
        return f"{moment} {_text(seen.key)}  {_text(seen.value)[:200]}"
    if not isinstance(value, dict):
        return f"{moment} {value}"
    return f"{moment} {_SHAPES.get(topic, _anything)(value)}"


def _recommendation(value: Mapping[str, Any]) -> str:
    items = "  ".join(f"{i.get('item_id')} {_number(i.get('score'))}" for i in value.get("items", [])[:8])
    more = len(value.get("items", [])) - 8
    tail = f"  +{more}" if more > 0 else ""
    fresh = f"  {value['freshness_ms']} ms" if value.get("freshness_ms") is not None else ""
    degraded = f"  degraded: {value['degraded']}" if value.get("degraded") else ""
    return f"{value.get('user_id')}{fresh}{degraded}  {items}{tail}"


def _signal(value: Mapping[str, Any]) -> str:
    parts = [value.get("name"), value.get("detector"), value.get("severity")]
    if value.get("statistic") is not None:
        parts.append(f"{_number(value['statistic'])} against {_number(value.get('threshold'))}")
    evidence = value.get("evidence") or {}
    if "before" in evidence:
        parts.append(f"{_number(evidence['before'])} -> {_number(evidence['after'])}")
    parts.append(value.get("runbook"))
    return "  ".join(str(part) for part in parts if part)


def _dead_letter(value: Mapping[str, Any]) -> str:
    raw = base64.b64decode(value.get("raw", ""))
    return f"{value.get('id')}  {value.get('reason')}: {value.get('detail')}  {_text(raw)[:160]}"


def _anything(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


_SHAPES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "recommendations": _recommendation,
    "drift-signals": _signal,
    "dead-letters": _dead_letter,
}


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else str(value)


def _text(raw: bytes | None) -> str:
    """Bytes as text that no terminal takes for a command.

    >>> _text(b"a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    plain = (raw or b"").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
