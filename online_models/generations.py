"""Generations of a namespace's state: one is in force, another may be built beside it and put in its place.

Only what a partition owns (users, counters, positions) has generations. Item numbers are shared: they never change
their meaning, and what was learnt refers to them.

What was learnt has a lineage: the generation it was learnt anew with, 0 for what began with the namespace. Snapshots
and deltas say theirs, so that nothing learnt before a rebuild is added to what was learnt by it.
"""

from __future__ import annotations

from online_models.store import Store


async def begin(store: Store, partitions: int) -> int:
    """A new, empty generation; ``store`` goes over to it by itself, nobody else does. Returns its number."""
    newest = int(await store.redis.get(f"{store.namespace}:generation") or 0)
    generation = max(newest, int(await store.redis.get(f"{store.namespace}:generations") or 0)) + 1
    await store.redis.set(f"{store.namespace}:generations", generation)
    await store.redis.set(f"{store.root(generation)}partitions", partitions)
    store.generation = generation
    return generation


async def swap(store: Store, *, learnt: bool = False) -> None:
    """Put the store's generation in force: workers and API go over within a second or two.

    Args:
        learnt: the models were learnt anew with it; their snapshot has been saved.
    """
    if learnt:  # first: who sees the generation must see the lineage, too
        await store.redis.set(f"{store.namespace}:lineage", store.generation)
    await store.redis.set(f"{store.namespace}:generation", store.generation)


async def clean(store: Store) -> int:
    """Remove every generation but the one in force; returns how many keys went."""
    in_force = int(await store.redis.get(f"{store.namespace}:generation") or 0)
    last = max(in_force, int(await store.redis.get(f"{store.namespace}:generations") or 0))
    removed = 0
    for generation in range(last + 1):
        if generation != in_force:
            removed += await _remove(store, f"{store.root(generation)}{{*")
            removed += await store.redis.unlink(f"{store.root(generation)}partitions")
    return removed


async def _remove(store: Store, pattern: str) -> int:
    removed, batch = 0, []
    async for key in store.redis.scan_iter(pattern, count=2_000):
        batch.append(key)
        if len(batch) >= 1_000:
            removed += await _unlink(store, batch)
            batch = []
    return removed + await _unlink(store, batch)


async def _unlink(store: Store, keys: list[bytes]) -> int:
    async with store.redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.execute_command("UNLINK", key)  # one by one: in a cluster they live on several nodes
        return sum(await pipe.execute()) if keys else 0
