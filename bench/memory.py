"""Bytes a user costs in Redis, and an item in a worker's memory."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import redis

from bench import report
from online_models import labels_wire
from online_models.base import Interaction
from online_models.click_features import ClickSchema
from online_models.history import UserRecord, encode
from online_models.labels import Pending
from online_models.model import Model
from online_models.userstate import UserKeys
from tests.support.redis_server import RedisServer

EVENTS = 50
ITEMS = 100_000
_START = 1_700_000_000_000
_PIPE = 2_000
Pair = tuple[str, bytes]


def run(*, long: bool = False) -> report.Result:
    """The benchmark."""
    users, items = (1_000_000, 200_000) if long else (100_000, 20_000)
    with RedisServer() as server, server.client() as client:
        records = _cost(client, users, _records)
        busy = _cost(client, users, _busy_records)
        rings = _cost(client, users, _rings)
        pending = _cost(client, users // 10, _pending)
        names = _cost(client, items, _names)
    figures = {
        "users": users,
        "events_per_user": EVENTS,
        "redis_bytes_per_user": round(records),
        "redis_gib_per_1m_users": round(records * 1e6 / 2**30, 3),
        "redis_gib_per_1m_users_of_50_clicks": round(busy * 1e6 / 2**30, 3),
        "redis_bytes_per_user_of_event_ids": round(rings),  # expires after ten minutes
        "redis_bytes_per_pending_slate": round(pending),  # expires after an hour
        "redis_bytes_per_item": round(names),
        "worker_bytes_per_item": round(_resident(items)),
        "items": items,
    }
    return report.finished("memory", figures, {"history": EVENTS, "slots": 20})


def _cost(client: redis.Redis, n: int, make: Callable[[int], Iterator[Pair]]) -> float:
    """Bytes of Redis per entry."""
    client.flushall()
    before = _used(client)
    pipe = client.pipeline(transaction=False)
    for k, (key, value) in enumerate(make(n)):
        if key.endswith(":x"):
            pipe.hset(key, "s:request", value)
        elif key == "items":
            pipe.hset(key, value.decode(), k)
        else:
            pipe.set(key, value, px=None if ":u:" in key else 600_000)
        if k % _PIPE == _PIPE - 1:
            pipe.execute()
    pipe.execute()
    return (_used(client) - before) / n


def _used(client: redis.Redis) -> int:
    memory: Any = client.info("memory")
    return int(memory["used_memory"])


def _records(n: int) -> Iterator[Pair]:
    rng = np.random.default_rng(0)
    for user in range(n):
        yield UserKeys.of(f"freshet:{{{user % 32}}}:", f"user-{user}").record, encode(_record(rng, 0.15))


def _busy_records(n: int) -> Iterator[Pair]:
    rng = np.random.default_rng(0)
    for user in range(n):
        yield UserKeys.of(f"freshet:{{{user % 32}}}:", f"user-{user}").record, encode(_record(rng, 1.0))


def _record(rng: np.random.Generator, click_share: float) -> UserRecord:
    """A user after 50 events, impressions and clicks."""
    record = UserRecord(day=19_675, day_events=EVENTS)
    items, clicks = rng.integers(0, ITEMS, EVENTS).tolist(), (rng.random(EVENTS) < click_share).tolist()
    for k, (item, click) in enumerate(zip(items, clicks, strict=True)):
        record.count("click" if click else "impression")
        if click:
            record.act(item, _START + 60_000 * k)
        elif hasattr(record, "see"):
            record.see(item)
    record.windows[0] = (float(EVENTS), float(sum(clicks)))
    return record


def _rings(n: int) -> Iterator[Pair]:
    for user in range(n):
        yield UserKeys.of(f"freshet:{{{user % 32}}}:", f"user-{user}").ring, os.urandom(8 * 16)


def _pending(n: int) -> Iterator[Pair]:
    width, rng = len(ClickSchema.of(Model().schema).names), np.random.default_rng(0)
    features = rng.normal(size=(20, width)).astype(np.float16)
    slate = Pending(
        "auto-" + "0" * 32, _START, "default", "c1-000000000000", list(range(20)), list(range(20)), [0.05] * 20,
        [1.0] * 20, features,
    )  # fmt: skip
    value = labels_wire.encode(slate)
    for user in range(n):
        yield f"freshet:{{{user % 32}}}:user-{user}:x", value


def _names(n: int) -> Iterator[Pair]:
    for item in range(n):
        yield "items", f"item-{item:08d}".encode()


def _resident(items: int) -> float:
    """Bytes of a worker's memory per item acted on: measured in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return float(pool.apply(_grown, (items,)))


def _grown(items: int) -> float:
    model, rng = Model(), np.random.default_rng(0)
    _learn(model, rng, 500, 2_000)
    before = _rss()
    _learn(model, rng, items, 5 * items)
    return (_rss() - before) / items


def _learn(model: Model, rng: np.random.Generator, items: int, events: int) -> None:
    for k in range(events):
        recent = tuple(rng.integers(0, items, 10).tolist())
        item = k if k < items else int(rng.integers(items))
        model.learn_one(Interaction(k % 5_000, item, k, recent, (k,) * 10))


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
