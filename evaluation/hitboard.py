"""How good slates were on real data, where nobody saw them: does a slate hold what its user acts on next?

Beside it, what a random and a most-popular slate of the same length would have held, at the same moment and with the
same items left out. Rates are hits per slot, so that they read like click rates; they are no click rates: on logged
data a user can only act on what another system, or chance, had shown.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ARMS = ("policy", "random", "popular")


class HitBoard:
    """Hits per slot of a policy, of popularity, and of chance (its expectation, without noise).

    Args:
        users_max: users whose acted items are remembered; the least recent goes first.
        items_max: items counted; later ones are scored as unknown.

    >>> board = HitBoard()
    >>> for item in "abca":
    ...     board.learn("earlier", item)
    >>> board.score("u", "a", ["a", "c"])
    True
    >>> board.rates()
    {'ctr_policy': 0.5, 'ctr_random': 0.3333333333333333, 'ctr_popular': 0.5}
    """

    def __init__(self, *, users_max: int = 100_000, items_max: int = 1_000_000) -> None:
        if users_max < 1 or items_max < 1:
            raise ValueError("users_max and items_max must be at least 1")
        self.users_max, self.items_max = users_max, items_max
        self.scored = 0
        self._hits = dict.fromkeys(ARMS, 0.0)
        self._slots = 0
        self._number: dict[str, int] = {}
        self._counts: NDArray[np.int64] = np.zeros(1_024, np.int64)
        self._acted: OrderedDict[str, set[int]] = OrderedDict()

    def score(self, user: str, item: str, slate: Sequence[str]) -> bool:
        """Score the slate a user had before acting on ``item``; False when it cannot be scored.

        An item nobody has acted on before, or this user already has, is in nobody's slate and is left out.
        """
        target, acted = self._number.get(item), self._acted.get(user, set())
        if target is None or target in acted or not slate:
            return False
        n, candidates = len(slate), len(self._number) - len(acted)
        self.scored += 1
        self._slots += n
        self._hits["policy"] += item in slate
        self._hits["random"] += min(1.0, n / candidates)
        self._hits["popular"] += target in self._popular(n, acted)
        return True

    def learn(self, user: str, item: str) -> None:
        """A user acted on an item; after it was scored."""
        number = self._number.get(item)
        if number is None:
            if len(self._number) >= self.items_max:
                return
            number = self._number[item] = len(self._number)
            if number >= len(self._counts):
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._counts[number] += 1
        self._acted.setdefault(user, set()).add(number)
        self._acted.move_to_end(user)
        if len(self._acted) > self.users_max:
            self._acted.popitem(last=False)

    def rates(self) -> dict[str, float | None]:
        """``ctr_policy``, ``ctr_random``, ``ctr_popular`` as hits per slot; None before anything was scored."""
        return {f"ctr_{arm}": self._hits[arm] / self._slots if self._slots else None for arm in ARMS}

    def _popular(self, n: int, acted: set[int]) -> set[int]:
        counts = self._counts[: len(self._number)].copy()
        counts[list(acted)] = -1
        return set(np.argsort(-counts, kind="stable")[:n].tolist())
