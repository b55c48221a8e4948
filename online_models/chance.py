"""What is random is a hash of what is asked: the same request gets the same slate, in every process."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np


@lru_cache(maxsize=256)  # some questions of a request are asked twice
def stable_hash(*parts: str) -> int:
    """63 bits of the parts, the same in every process; parts are kept apart whatever they hold.

    >>> stable_hash("a", "bc") == stable_hash("ab", "c"), stable_hash("a") == stable_hash("a")
    (False, True)
    """
    raw = [part.encode() for part in parts]
    apart = b"".join([len(part).to_bytes(4, "little") + part for part in raw])
    return int.from_bytes(blake2b(apart, digest_size=8).digest(), "little") >> 1


def seed_of(namespace: str, request_id: str, policy_version: str) -> int:
    """The seed of a request's draws: a retried request gets the same slate."""
    return stable_hash("slate", namespace, request_id, policy_version)


def generator(seed: int) -> np.random.Generator:
    """The random numbers of one request.

    >>> generator(1).random() == generator(1).random()
    True
    """
    return np.random.Generator(np.random.PCG64(seed))


def is_randomised(request_id: str, surface: str, share: float) -> bool:
    """Whether this request is among the share that is drawn at random on this surface.

    >>> sum(is_randomised(str(k), "home", 0.05) for k in range(10_000)) in range(420, 580)
    True
    """
    return stable_hash("randomise", surface, request_id) < share * 2.0**63


def swapped_pair(request_id: str, surface: str, slots: int, share: float = 0.01) -> int | None:
    """The upper slot of the adjacent pair that this request swaps, ``None`` for all but a share of requests.

    Swap only greedy slates, log it, and leave them out of off-policy evaluation: they serve to tell examination from
    relevance (:mod:`online_models.examination`).

    >>> pairs = [swapped_pair(str(k), "home", 3, share=0.5) for k in range(1_000)]
    >>> sorted(set(pairs), key=str)
    [0, 1, None]
    """
    if slots < 2 or stable_hash("swap", surface, request_id) >= share * 2.0**63:
        return None
    return stable_hash("pair", surface, request_id) % (slots - 1)
