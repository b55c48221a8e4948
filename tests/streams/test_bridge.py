"""Foreign topics of impressions and clicks become events of the one log, or dead letters with the reason."""

from __future__ import annotations

import orjson

from streams.bridge import bridged
from streams.transport import Batch, Record
from streams.validation import Rules

RULES = Rules()


def batch(*values: bytes) -> Batch:
    records = tuple(Record(40 + k, 1_000, b"alice", value) for k, value in enumerate(values))
    return Batch("shop.clicks", 3, 1, 40, 40 + len(records), records)


def test_a_click_without_type_and_id_is_given_both_and_goes_under_its_users_key() -> None:
    raw = orjson.dumps({"user_id": "alice", "item_id": "m1", "ts": 900})
    [message] = bridged(batch(raw), "click", RULES)
    event = orjson.loads(message.value or b"")
    assert (message.topic, message.key) == ("events", "alice")
    assert event["type"] == "click" and event["event_id"] == "shop.clicks-3-40"


def test_copying_a_record_twice_gives_the_same_id_so_that_it_counts_once() -> None:
    raw = orjson.dumps({"user_id": "alice", "item_id": "m1", "ts": 900})
    first, again = (bridged(batch(raw), "click", RULES)[0].value for _ in range(2))
    assert first == again


def test_an_id_of_the_producer_is_kept() -> None:
    raw = orjson.dumps({"user_id": "alice", "item_id": "m1", "ts": 900, "event_id": "theirs"})
    assert orjson.loads(bridged(batch(raw), "click", RULES)[0].value or b"")["event_id"] == "theirs"


def test_an_impression_keeps_its_items_in_order() -> None:
    items = [{"item_id": "m1", "position": 0}, {"item_id": "m2", "position": 1}]
    raw = orjson.dumps({"user_id": "alice", "items": items, "ts": 900})
    event = orjson.loads(bridged(batch(raw), "impression", RULES)[0].value or b"")
    assert event["type"] == "impression" and event["items"] == items


def test_what_is_no_event_becomes_a_dead_letter_that_names_its_place_and_field() -> None:
    bad = [b"{", b"[]", orjson.dumps({"user_id": "alice", "ts": 900})]
    letters = [orjson.loads(m.value or b"") for m in bridged(batch(*bad), "click", RULES)]
    assert [(x["topic"], x["partition"], x["offset"]) for x in letters] == [
        ("shop.clicks", 3, 40), ("shop.clicks", 3, 41), ("shop.clicks", 3, 42),
    ]  # fmt: skip
    assert [x["reason"] for x in letters] == ["json", "field", "field"] and letters[2]["field"] == "item_id"
