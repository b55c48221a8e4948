"""Records from lines of JSON to one of the topics producers write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from streams.client import EventProducer, EventRefused

REFUSALS_MAX = 1_000
"""Refused lines that are kept to be told of."""


def produce(
    lines: Iterable[bytes], producer: EventProducer, topic: str, *, checked: bool = True
) -> tuple[int, list[tuple[int, str]]]:
    """Produce each line; returns how many, and the refused ones with their line number and reason.

    Args:
        topic: ``events``, ``catalog`` or ``recommendation-requests``.
        checked: False sends the bytes as they are, keyed by the user or item where one can be read.
    """
    sent = 0
    refused: list[tuple[int, str]] = []
    for number, raw in enumerate(lines, start=1):
        text = raw.strip()
        if not text:
            continue
        try:
            if checked:
                _checked(producer, topic, text)
            else:
                producer.raw(topic, _key(topic, text), text)
            sent += 1
        except (EventRefused, orjson.JSONDecodeError, TypeError) as error:
            if len(refused) < REFUSALS_MAX:
                refused.append((number, str(error)))
    producer.flush()
    return sent, refused


def _checked(producer: EventProducer, topic: str, text: bytes) -> None:
    record = orjson.loads(text)
    if not isinstance(record, dict):
        raise TypeError("json: a record is a JSON object")
    if topic == "events":
        producer.event(record)
    elif topic == "catalog":
        producer.item(record.pop("item_id", ""), **record)
    else:
        producer.request(record.pop("user_id", ""), **record)


def _key(topic: str, text: bytes) -> str:
    try:
        record: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    name = "item_id" if topic == "catalog" else "user_id"
    return str(record.get(name, "")) if isinstance(record, dict) else ""
