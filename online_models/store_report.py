"""What an operator needs to know of a Redis before a worker may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from online_models.errors import StoreUnavailable
from online_models.store_client import RedisAddress, connect, everywhere


@dataclass(frozen=True, slots=True)
class StoreReport:
    """A Redis as it is configured and filled; memory in bytes, ``time_ms`` by its own clock.

    Of a cluster: the node that is worst in each respect.
    """

    version: str
    policy: str
    aof: bool
    used: int
    limit: int
    time_ms: int
    partitions: int | None  # what the namespace was built with


async def report(address: RedisAddress, namespace: str, *, timeout_s: float = 5.0) -> StoreReport:
    """Ask a Redis what it is.

    Raises:
        StoreUnavailable: it does not answer, or refuses us.
    """
    client = connect(address, timeout_s=timeout_s, connections=2)
    try:
        nodes = by_node(await client.info(**everywhere(client)))
        seconds, micros = await client.time()
        generation = int(await client.get(f"{namespace}:generation") or 0)
        root = f"{namespace}:g{generation}:" if generation else f"{namespace}:"
        stored = await client.get(f"{root}partitions")
    except (RedisError, OSError, ValueError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
    finally:
        await client.aclose()
    fullest = max(
        nodes, key=lambda node: int(node.get("used_memory", 0)) / (node.get("maxmemory") or 1 << 62)
    )
    policies = sorted({str(node.get("maxmemory_policy", "unknown")) for node in nodes} - {"noeviction"})
    return StoreReport(
        version=min(str(node.get("redis_version", "unknown")) for node in nodes),
        policy=policies[0] if policies else "noeviction",
        aof=all(bool(node.get("aof_enabled", 0)) for node in nodes),
        used=int(fullest.get("used_memory", 0)),
        limit=int(fullest.get("maxmemory", 0)),
        time_ms=int(seconds) * 1_000 + int(micros) // 1_000,
        partitions=int(stored) if stored is not None else None,
    )


def by_node(answer: Any) -> list[Any]:
    """An answer of each node of a cluster, or that of the one server there is.

    >>> by_node({"a:1": {"used_memory": 1}, "b:1": {"used_memory": 2}}), by_node({"used_memory": 3})
    ([{'used_memory': 1}, {'used_memory': 2}], [{'used_memory': 3}])
    """
    per_node = isinstance(answer, dict) and answer and all(":" in str(name) for name in answer)
    return list(answer.values()) if per_node else [answer]
