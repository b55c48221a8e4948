"""The contracts that the parts of the learnt state keep: what is learnt from, what is asked, what answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Scores = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

RECENT = 50
"""How many of a user's latest items travel with each interaction and each query."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One positive action of one user, with what the user did before it.

    It is the unit every retrieval source learns from and what workers tell each other about. A user has one vote a day
    for each pair of an earlier item and this one, so that nobody makes two items belong together by going to and fro.

    >>> Interaction(user=7, item=3, ts=2_000, recent=(1, 0), recent_ts=(1_000, 500)).recent[0]
    1
    """

    user: int  # 64-bit hash of the user id
    item: int  # interned item id
    ts: int  # event time, ms
    recent: tuple[int, ...] = ()  # items before this one, newest first, at most RECENT
    recent_ts: tuple[int, ...] = ()  # their event times, ms, aligned with recent
    weight: float = 1.0  # strength of the action (a view may count less than a purchase)
    voted: int = 0  # bit k: recent[k] has had this user's vote of the day for the item


@dataclass(frozen=True, slots=True)
class Query:
    """What a source is asked: a user's history as of ``now``."""

    user: int
    recent: tuple[int, ...]
    recent_ts: tuple[int, ...]
    now: int
    shown: tuple[int, ...] = ()  # lately seen and not acted on, newest first, may repeat


@runtime_checkable
class Source(Protocol):
    """A retriever that learns from one interaction at a time and proposes items with a score of its own."""

    name: str

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""

    def retrieve(self, query: Query, n: int) -> tuple[Ids, Scores]:
        """At most ``n`` items, best first, ties by the lower id. Never changes state."""

    def arrays(self) -> Arrays:
        """Everything needed to restore this source, as arrays."""

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
