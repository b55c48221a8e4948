"""Ten thousand broken records: each is an event by the schema or a dead letter with a reason; the worker goes on."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson
import pytest

from online_models.events import Action, Click, Impression, UserEvent
from streams import build, validation
from streams.validation import Rejected
from tests.end_to_end.harness import Deployment
from tests.support.mutations import mutated

RECORDS = 10_000


@pytest.mark.timeout(600)
def test_each_broken_record_is_an_event_or_a_dead_letter_with_a_reason(
    kafka: str, redis_url: str, deploy: Callable[..., Deployment]
) -> None:
    running = deploy(kafka, redis_url)
    worker = running.worker()
    for n, value in enumerate(mutated(seed=11, n=RECORDS)):
        running.raw("events", _key(value, n), value)
    running.flush()
    running.settle()

    rules = build.rules(running.settings)
    events: list[UserEvent] = []
    refused: dict[str, tuple[Rejected, bytes]] = {}
    for record in _of_producers(running):
        judged = validation.event(record.value, record.timestamp, rules)
        if isinstance(judged, Rejected):
            refused[f"{record.topic}-{record.partition}-{record.offset}"] = judged, record.value or b""
        else:
            events.append(judged)
    assert len(events) + len(refused) == RECORDS
    reasons = Counter(why.reason for why, _ in refused.values())
    assert reasons.keys() == {"empty", "json", "field", "schema", "action", "future", "too_large"}
    assert len(events) > RECORDS / 10

    letters = {letter["id"]: letter for letter in map(orjson.loads, _values(running, "dead-letters"))}
    assert letters.keys() == refused.keys()
    for name, (why, value) in refused.items():
        assert (letters[name]["reason"], letters[name]["field"]) == (why.reason, why.field)
        assert letters[name]["detail"]
        assert _is_of(letters[name], value)
    _all_are_folded(running, events)

    assert worker.running
    running.send([{"v": 1, "type": "click", "event_id": "good", "user_id": "ann", "ts": 1, "item_id": "j"}])
    assert running.slate_of("ann", "good")["items"]


def _key(value: bytes, n: int) -> str:
    """The user's id, where the record has one that can be a key."""
    try:
        user = orjson.loads(value)["user_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return f"nobody-{n}"
    return user if isinstance(user, str) and user else f"nobody-{n}"


def _of_producers(running: Deployment) -> list[Any]:
    """What was sent, without what workers put into the log: slates served."""
    return [r for r in running.read("events") if not (r.value or b"").startswith(b'{"v":1,"type":"exposure"')]


def _values(running: Deployment, topic: str) -> list[bytes]:
    return [record.value for record in running.read(topic)]


def _is_of(letter: dict[str, Any], value: bytes) -> bool:
    raw = base64.b64decode(letter["raw"])
    if letter.get("truncated"):
        return value.startswith(raw) and letter["sha256"] == sha256(value).hexdigest()
    return raw == value


def _all_are_folded(running: Deployment, events: list[UserEvent]) -> None:
    """Every valid event is counted for its user, once for each event id."""
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    for event in events:
        if isinstance(event, Click | Action | Impression):
            slots = len(event.items) if isinstance(event, Impression) else 1
            most[event.user_id] += slots
            least[event.user_id] += slots * ((event.user_id, event.event_id) not in known)
        known.add((event.user_id, event.event_id))
    records = running.records(least)
    counted = {user: sum(record.counts.values()) for user, record in records.items()}
    wrong = [u for u in least if not least[u] <= counted.get(u, 0) <= most[u]]
    assert wrong == []
