"""What an operator needs to know of a Redis before a worker may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from online_models.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class StoreReport:
    """A Redis as it is configured and filled; memory in bytes, ``time_ms`` by its own clock."""

    version: str
    policy: str
    aof: bool
    used: int
    limit: int
    time_ms: int
    partitions: int | None  # what the namespace was built with


async def report(url: str, namespace: str, *, timeout_s: float = 5.0) -> StoreReport:
    """Ask a Redis what it is.

    Raises:
        StoreUnavailable: it does not answer, or refuses us.
    """
    client = Redis.from_url(url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    try:
        info: Any = await client.info()
        seconds, micros = await client.time()
        generation = int(await client.get(f"{namespace}:generation") or 0)
        root = f"{namespace}:g{generation}:" if generation else f"{namespace}:"
        stored = await client.get(f"{root}partitions")
    except (RedisError, OSError, ValueError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
    finally:
        await client.aclose()
    return StoreReport(
        version=str(info.get("redis_version", "unknown")),
        policy=str(info.get("maxmemory_policy", "unknown")),
        aof=bool(info.get("aof_enabled", 0)),
        used=int(info.get("used_memory", 0)),
        limit=int(info.get("maxmemory", 0)),
        time_ms=int(seconds) * 1_000 + int(micros) // 1_000,
        partitions=int(stored) if stored is not None else None,
    )
