"""Bytes: what a user takes in Redis, and what an event takes on the wire; the sizing in docs/scaling.md rests on them.

python -m bench.footprint
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson

from bench import report
from online_models import deltas
from online_models.base import Interaction
from online_models.deltas import Delta
from online_models.history import UserRecord, encode
from online_models.store import Store
from streams.embedded import EmbeddedRedis

USERS = 50_000
HISTORY = 80
"""Actions of a user: 50 stand in the history with their times, 30 in the seen set."""
DELTA = 250


def a_user(chance: random.Random) -> UserRecord:
    """A user with a full history."""
    record, ts = UserRecord(), 1_700_000_000_000
    for _ in range(HISTORY):
        ts += chance.randrange(1_000, 3_600_000)
        record.act(chance.randrange(1_000_000), ts)
        record.count("click")
    record.count("impression", 10 * HISTORY)
    record.windows = {ts: (10.0, 1.0), ts + 1: (5.0, 0.5)}
    return record


async def in_redis(url: str, seed: int = 1) -> dict[str, float]:
    """Bytes of Redis's memory a user takes: the record for good, the ring of event ids for ten minutes after acting."""
    store, chance = Store(url, "bench"), random.Random(seed)
    sizes, value = {}, 0
    own = await store.claim(0)
    for kind in ("record", "ring"):
        before = (await store.redis.info("memory"))["used_memory"]
        for at in range(0, USERS, 500):
            writes: list[Any] = []
            for user in range(at, at + 500):
                raw = encode(a_user(chance)) if kind == "record" else chance.randbytes(128)
                value += len(raw) if kind == "record" else 0
                expiry = () if kind == "record" else ("PX", 600_000)
                writes.append(("SET", f"{store.prefix(0)}{kind[:2]}:user-{user:09d}", raw, *expiry))
            own = await store.commit(own, writes, None)
        after = (await store.redis.info("memory"))["used_memory"]
        sizes[f"{kind}_bytes"] = round((after - before) / USERS, 1)
    await store.close()
    return {**sizes, "record_value_bytes": round(value / USERS, 1)}


def on_the_wire(seed: int = 1) -> dict[str, float]:
    """Bytes of an event, and of what a delta says of one interaction."""
    chance = random.Random(seed)
    click = {"v": 1, "type": "click", "event_id": "0" * 32, "user_id": "user-000000001", "ts": 1_700_000_000_000,
             "item_id": "item-0000001", "request_id": "0" * 32}  # fmt: skip
    told = [
        Interaction(k, chance.randrange(100_000), 1_700_000_000_000, tuple(range(50)), tuple(range(50)), 1.0)
        for k in range(DELTA)
    ]
    delta = len(deltas.encode(Delta("worker-0123456789ab", 1, tuple(told))))
    return {"event_bytes": len(orjson.dumps(click)), "delta_bytes_per_interaction": round(delta / DELTA, 1)}


def main() -> None:
    """Measure, print, and keep."""
    with EmbeddedRedis() as redis:
        result = {
            "benchmark": "footprint",
            "users": USERS,
            **asyncio.run(in_redis(redis.url)),
            **on_the_wire(),
        }
    report.keep(result)
    print(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
