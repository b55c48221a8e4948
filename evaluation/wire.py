"""Records of public data sets as the events freshet reads, the same each time they are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evaluation.records import ItemInfo, LoggedImpression, Rating, Record, SessionClick

LIKED_FROM, DISLIKED_TO = 4.0, 2.0
"""A rating of 4 and more is a ``like``, of 2 and less a ``dislike``, between them a ``click``."""
CLICK_AFTER_MS = 1_000
"""The Open Bandit Dataset says that an impression was clicked, not when."""


def to_events(record: Record, index: int, *, source: str = "replay") -> list[dict[str, Any]]:
    """The events of one record, in order.

    Args:
        index: the record's place in its file; with ``source`` it makes the event ids.

    >>> [event] = to_events(Rating("196", "242", 3.0, 881250949000), 0)
    >>> event["type"], event["event_id"], event["user_id"], event["item_id"]
    ('click', 'replay-0', '196', '242')
    """
    if isinstance(record, Rating):
        return [_of_rating(record, f"{source}-{index}")]
    if isinstance(record, SessionClick):
        return [_event("click", f"{source}-{index}", record.session, record.ts_ms, item_id=record.item)]
    return _of_impression(record, f"{source}-{index}")


def item_entry(item_id: str, info: ItemInfo) -> dict[str, Any]:
    """A catalogue entry of an item."""
    attributes = {"year": info.year} if info.year is not None else {}
    return {
        "v": 1, "item_id": item_id, "title": info.title, "tags": list(info.tags), "attributes": attributes,
    }  # fmt: skip


def events(records: Iterator[Record], *, source: str = "replay") -> Iterator[dict[str, Any]]:
    """The events of all records, numbered as they come."""
    for index, record in enumerate(records):
        yield from to_events(record, index, source=source)


def _of_rating(record: Rating, event_id: str) -> dict[str, Any]:
    if DISLIKED_TO < record.rating < LIKED_FROM:
        return _event("click", event_id, record.user, record.ts_ms, item_id=record.item)
    action = "like" if record.rating >= LIKED_FROM else "dislike"
    more = {"item_id": record.item, "action": action, "value": record.rating}
    return _event("action", event_id, record.user, record.ts_ms, **more)


def _of_impression(record: LoggedImpression, name: str) -> list[dict[str, Any]]:
    shown = {"item_id": record.item, "position": max(0, record.position - 1)}
    made = [
        _event(
            "impression", f"{name}-i", record.user, record.ts_ms, request_id=name, items=[shown],
            context={"propensity": record.propensity},
        )
    ]  # fmt: skip
    if record.click:
        at = record.ts_ms + CLICK_AFTER_MS
        made.append(_event("click", f"{name}-c", record.user, at, item_id=record.item, request_id=name))
    return made


def _event(type_: str, event_id: str, user_id: str, ts: int, **more: Any) -> dict[str, Any]:
    return {"v": 1, "type": type_, "event_id": event_id, "user_id": user_id, "ts": ts, **more}
