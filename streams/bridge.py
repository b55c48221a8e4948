"""Producers that already have separate topics for impressions and clicks: their records become ours, in one log.

Two topics keyed alike can land on different workers, and a click can overtake its impression; so both are copied into
``events``, under the user's key. A record without an ``event_id`` is given its place in its own topic for one, so that
copying it twice has no second effect.
"""

from __future__ import annotations

from typing import Literal

import orjson

from streams import validation
from streams.outputs import Message, dead_letter
from streams.transport import Batch, Record
from streams.validation import Rejected, Rules


def bridged(batch: Batch, kind: Literal["impression", "click"], rules: Rules) -> list[Message]:
    """What a batch of a foreign topic becomes: events, or dead letters with the reason."""
    return [_one(batch, record, kind, rules) for record in batch.records]


def _one(batch: Batch, record: Record, kind: str, rules: Rules) -> Message:
    value = _typed(record.value, kind, f"{batch.topic}-{batch.partition}-{record.offset}")
    event = validation.event(value, record.timestamp, rules)
    if isinstance(event, Rejected):
        return dead_letter(event, batch.topic, batch.partition, record.offset, record.key, record.value)
    return Message("events", event.user_id, value)


def _typed(value: bytes | None, kind: str, event_id: str) -> bytes | None:
    """The record with the type its topic implies and an id, where it has none."""
    try:
        plain = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return value
    if not isinstance(plain, dict):
        return value
    return orjson.dumps({"type": kind, "event_id": event_id} | plain)
