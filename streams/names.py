"""Item names that Redis has lost are given back before a new one gets a number that was somebody's already."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import orjson

from online_models.base import Arrays
from online_models.errors import NamesLost, StoreRefused
from online_models.interning import Interner
from online_models.store import Store

log = logging.getLogger(__name__)


async def intern(store: Store, interner: Interner, names: Sequence[str]) -> list[int]:
    """Numbers for names, from Redis.

    Raises:
        StoreRefused: Redis has lost its table and given numbers anew: nothing learnt may be used with them.
    """
    try:
        return await store.intern(names, known=len(interner))
    except NamesLost as error:
        log.error("%s: Redis has lost data; they are given back", error)
        await give_back(store, interner.names())
        return await store.intern(names, known=len(interner))


async def give_back(store: Store, names: Sequence[str]) -> None:
    """Write names with their numbers to a Redis that has lost them.

    Raises:
        StoreRefused: a number stands for another item by now.
    """
    if not await store.restore_names(names):
        raise StoreRefused(
            "Redis has lost its item numbers and given some of them to other items: what was learnt no longer fits. "
            "Stop all workers, move the snapshots away, and start again"
        )


def packed(interner: Interner) -> Arrays:
    """All names as a component of a snapshot, the place being the number."""
    return {"json": np.frombuffer(orjson.dumps(interner.names()), dtype=np.uint8)}


def unpacked(arrays: Arrays) -> list[str]:
    """The names :func:`packed` wrote; none from a snapshot that holds none.

    >>> names = Interner()
    >>> names.add([("a", 0), ("c", 2)])
    >>> unpacked(packed(names)), unpacked({})
    (['a', '', 'c'], [])
    """
    return list(orjson.loads(arrays["json"].tobytes())) if "json" in arrays else []
