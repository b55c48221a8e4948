"""A hundred thousand real events through two workers: every counter is right, every active user has a slate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import pytest

from streams.partitioner import partition_of
from tests.end_to_end.harness import PARTITIONS, Deployment, Event, Recount

AFTER = 893_300_000_000  # after the last rating


@pytest.mark.timeout(600)
def test_a_hundred_thousand_events_are_counted_exactly_and_answered_with_slates(
    kafka: str, redis_url: str, deploy: Callable[..., Deployment], movielens: list[Event]
) -> None:
    assert len(movielens) == 100_000
    running = deploy(kafka, redis_url)
    running.two_workers()
    running.send(movielens)
    running.settle(240)
    want = Recount(running.settings).add(movielens)
    assert want.over_cap > 0, "the abuse cap is part of the recount, and nobody has reached it"
    running.check(want)

    slates = running.slates()
    newest = {slate["user_id"]: slate for slate in slates}
    assert {user: slate["caused_by"] for user, slate in newest.items()} == want.last
    assert shorter_than_they_could_be(slates, movielens, running.settings.recommend_n) == []
    assert acted_on_before(slates, movielens) == []

    a_click_changes_the_next_slate(running, newest["1"])
    a_request_is_answered_without_what_it_excludes(running, want)


def shorter_than_they_could_be(
    slates: Iterable[Mapping[str, Any]], events: Iterable[Event], full: int
) -> list[str]:
    """Causes of slates that are not full although the log before them, of that partition alone, held enough items."""
    length = {slate["caused_by"]: len(slate["items"]) for slate in slates}
    own: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        own[event["user_id"]].add(event["item_id"])
    known: defaultdict[int, set[str]] = defaultdict(set)
    short = []
    for event in events:
        user, items = event["user_id"], known[partition_of(event["user_id"], PARTITIONS)]
        items.add(event["item_id"])
        if length.get(event["event_id"], full) < min(full, len(items - own[user])):
            short.append(event["event_id"])
    return short


def acted_on_before(slates: Iterable[Mapping[str, Any]], events: Iterable[Event]) -> list[tuple[str, str]]:
    """(user, item) of all that was recommended after the user had acted on it."""
    acted: defaultdict[str, set[str]] = defaultdict(set)
    by_cause = {slate["caused_by"]: slate for slate in slates}
    wrong = []
    for event in events:
        user = event["user_id"]
        acted[user].add(event["item_id"])
        slate = by_cause.get(event["event_id"], {"items": []})
        wrong += [(user, slot["item_id"]) for slot in slate["items"] if slot["item_id"] in acted[user]]
    return wrong


def a_click_changes_the_next_slate(running: Deployment, before: Mapping[str, Any]) -> None:
    clicked = before["items"][0]["item_id"]
    user = before["user_id"]
    running.send(
        [{"v": 1, "type": "click", "event_id": "again", "user_id": user, "ts": AFTER, "item_id": clicked}]
    )
    after = running.slate_of(user, "again")
    shown = [slot["item_id"] for slot in after["items"]]
    assert shown != [slot["item_id"] for slot in before["items"]]
    assert clicked not in shown
    assert after["freshness_ms"] >= 0


def a_request_is_answered_without_what_it_excludes(running: Deployment, want: Recount) -> None:
    user, without = "2", [slot["item_id"] for slot in running.slate_of("2", want.last["2"])["items"]]
    asked = {"v": 1, "request_id": "asked", "user_id": user, "n": 7, "exclude": without}
    running.raw("recommendation-requests", user, orjson.dumps(asked))
    running.flush()
    answer = running.slate_of(user, "asked")
    shown = {slot["item_id"] for slot in answer["items"]}
    assert len(shown) == 7
    assert not shown & (want.acted[user] | set(without))
