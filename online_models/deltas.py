"""What workers tell each other: interactions to count, gradients to merge, and which commits they come from.

Counts are replayed from interactions, so that every process that hears them all holds the same lists; weights are
merged from gradient sums, since adding weights of K learners inflates them. The form on the wire is JSON with arrays
in base64 (little-endian), so that no reader has to trust code from the network.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from online_models.base import Arrays, Interaction
from online_models.errors import DeltaRefused

_DTYPES = frozenset({"<f2", "<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1", "|i1", "|b1", "<i2", "<u2"})
MAX_VALUES = 4_000_000


@dataclass(frozen=True, slots=True)
class Delta:
    """What one worker learnt in one mix interval.

    ``spans`` says per source partition which commits are covered: (epoch, first seq, last seq); ``lineage`` which
    models it is meant for (:mod:`online_models.generations`).
    """

    worker: str
    number: int
    interactions: tuple[Interaction, ...] = ()
    learners: Mapping[str, Arrays] = field(default_factory=dict)  # counters and gradient sums, by learner
    spans: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    lineage: int = 0


def pack(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Arrays as JSON values.

    >>> unpack(pack({"w": np.array([1.5, 2.5])}))["w"].tolist()
    [1.5, 2.5]
    """
    out = {}
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        data = base64.b64encode(little.tobytes()).decode()
        out[name] = {"dtype": little.dtype.str, "shape": list(array.shape), "data": data}
    return out


def unpack(packed: Mapping[str, Any]) -> Arrays:
    """The arrays :func:`pack` wrote.

    Raises:
        DeltaRefused: a type is not among those allowed, a size does not fit, or a float is not finite.
    """
    return {name: _array(name, value) for name, value in packed.items()}


def _array(name: str, value: Any) -> NDArray[Any]:
    try:
        dtype, shape = value["dtype"], tuple(int(k) for k in value["shape"])
        raw = base64.b64decode(value["data"], validate=True)
        if dtype not in _DTYPES:
            raise DeltaRefused(f"{name}: type {dtype!r} is not accepted")
        array = np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
    except (KeyError, TypeError, ValueError) as error:
        raise DeltaRefused(f"{name}: {error}") from error
    if array.size > MAX_VALUES:
        raise DeltaRefused(f"{name}: {array.size} values, at most {MAX_VALUES}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DeltaRefused(f"{name}: holds a value that is not finite")
    return array


def encode(delta: Delta) -> bytes:
    """The delta as one record's value."""
    return orjson.dumps(
        {
            "v": 1,
            "worker": delta.worker,
            "number": delta.number,
            "lineage": delta.lineage,
            "interactions": pack(_columns(delta.interactions)),
            "learners": {name: pack(arrays) for name, arrays in delta.learners.items()},
            "spans": {str(p): list(span) for p, span in delta.spans.items()},
        }
    )


def decode(raw: bytes) -> Delta:
    """The delta :func:`encode` wrote.

    Raises:
        DeltaRefused: it is not one, or would do harm.
    """
    try:
        plain = orjson.loads(raw)
        if plain["v"] != 1:
            raise DeltaRefused(f"v: {plain['v']!r} is not read here, 1 is")
        return Delta(
            worker=str(plain["worker"]),
            number=int(plain["number"]),
            interactions=tuple(_rows(unpack(plain["interactions"]))),
            learners={name: unpack(arrays) for name, arrays in plain["learners"].items()},
            spans={int(p): (int(a), int(b), int(c)) for p, (a, b, c) in plain["spans"].items()},
            lineage=int(plain.get("lineage", 0)),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeltaRefused(f"not a delta: {error}") from error


def _columns(rows: Sequence[Interaction]) -> Arrays:
    return {
        "user": np.array([x.user for x in rows], dtype="<i8"),
        "item": np.array([x.item for x in rows], dtype="<i4"),
        "ts": np.array([x.ts for x in rows], dtype="<i8"),
        "weight": np.array([x.weight for x in rows], dtype="<f4"),
        "voted": np.array([x.voted for x in rows], dtype="<u8"),
        "length": np.array([len(x.recent) for x in rows], dtype="|u1"),
        "recent": np.array([i for x in rows for i in x.recent], dtype="<i4"),
        "recent_ts": np.array([t for x in rows for t in x.recent_ts], dtype="<i8"),
    }


def _rows(c: Arrays) -> list[Interaction]:
    ends = np.cumsum(c["length"], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if len(c["recent"]) != total or len(c["recent_ts"]) != total or len(c["item"]) != len(ends):
        raise DeltaRefused("interactions: the columns do not fit each other")
    if (c["item"] < 0).any() or (c["recent"] < 0).any():
        raise DeltaRefused("interactions: an item id is negative")
    recent, recent_ts = c["recent"].tolist(), c["recent_ts"].tolist()
    users, items, times, weights = (c[k].tolist() for k in ("user", "item", "ts", "weight"))
    voted = c["voted"].tolist() if "voted" in c else [0] * len(ends)  # older workers tell none
    if len(voted) != len(ends):
        raise DeltaRefused("interactions: the columns do not fit each other")
    return [
        Interaction(
            users[k], items[k], times[k], tuple(recent[a:b]), tuple(recent_ts[a:b]), weights[k], voted[k]
        )
        for k, (a, b) in enumerate(zip([0, *ends.tolist()], ends.tolist(), strict=False))
    ]
