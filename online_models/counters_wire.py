"""Counter increments of a micro-batch as arrays, so that workers can tell each other (:mod:`online_models.deltas`)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import orjson
from numpy.typing import NDArray

from online_models.base import Arrays
from online_models.counters import CounterBatch
from online_models.errors import DeltaRefused


def to_arrays(batch: CounterBatch) -> Arrays:
    """The increments as columns; names are numbered in ``names``.

    >>> batch = CounterBatch(1_000)
    >>> batch.impression(7, ts=256_000, surface="home")
    >>> from_arrays(to_arrays(batch), 1_000).counts
    {('impression', 7): 1}
    """
    names = sorted(
        {action for action, _ in batch.counts}
        | {action for action, _, _ in batch.decayed}
        | {name for pair in batch.surfaces for name in pair}
        | {surface for surface, _, _ in batch.trend}
    )
    number = {name: k for k, name in enumerate(names)}
    return {
        "names": np.frombuffer(orjson.dumps(names), dtype=np.uint8),
        "counts": _ints((number[a], i, n) for (a, i), n in sorted(batch.counts.items())),
        "surfaces": _ints((number[s], number[a], n) for (s, a), n in sorted(batch.surfaces.items())),
        "decayed": _ints((number[a], m, i) for a, m, i in sorted(batch.decayed)),
        "decayed_sums": np.array([batch.decayed[key] for key in sorted(batch.decayed)], dtype=np.float64),
        "trend": _ints((number[s], m, i) for s, m, i in sorted(batch.trend)),
        "trend_sums": np.array([batch.trend[key] for key in sorted(batch.trend)], dtype=np.float64),
    }


def split(arrays: Arrays, rows: int) -> list[Arrays]:
    """The columns of :func:`to_arrays` in parts of at most so many rows a kind, which add up to the whole.

    >>> batch = CounterBatch(1_000)
    >>> for item in range(5):
    ...     batch.impression(item, ts=256_000, surface="home")
    >>> [len(part["counts"]) for part in split(to_arrays(batch), rows=2)]
    [2, 2, 1]
    """
    cut = [name for name in arrays if name != "names"]
    longest = max(len(arrays[name]) for name in cut)
    return [
        {"names": arrays["names"], **{name: arrays[name][k : k + rows] for name in cut}}
        for k in range(0, longest, rows)
    ]


def from_arrays(arrays: Arrays, half_life_ms: int) -> CounterBatch:
    """The batch :func:`to_arrays` wrote.

    Raises:
        DeltaRefused: columns are missing, do not fit each other, or name what is not there.
    """
    batch = CounterBatch(half_life_ms)
    try:
        names = [str(name) for name in orjson.loads(arrays["names"].tobytes())]
        for action, item, n in arrays["counts"].tolist():
            batch.counts[names[action], _item(item)] = int(n)
        for surface, action, n in arrays["surfaces"].tolist():
            batch.surfaces[names[surface], names[action]] = int(n)
        for kind, into in (("decayed", batch.decayed), ("trend", batch.trend)):
            sums = arrays[f"{kind}_sums"].tolist()
            for (name, mark, item), value in zip(arrays[kind].tolist(), sums, strict=True):
                into[names[name], int(mark), _item(item)] = float(value)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DeltaRefused(f"counters: {error}") from error
    return batch


def _item(value: int) -> int:
    if not 0 <= value < 1 << 24:
        raise ValueError(f"item {value} is not an interned id")
    return int(value)


def _ints(rows: Iterable[tuple[int, int, int]]) -> NDArray[np.int64]:
    return np.array(list(rows), dtype=np.int64).reshape(-1, 3)
