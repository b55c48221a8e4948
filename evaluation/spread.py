"""How exposures spread over a simulated catalogue, window by window: whether a bubble forms, and what it costs.

Diversity and likeness of items are those of the world's truth (the tags items really have), not of what was learnt, so
that a policy cannot look diverse by its own opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.simulator import World
from online_models.diversity import gini, intra_list_diversity, novelty


@dataclass(slots=True)
class _Window:
    slates: int = 0
    diversity: float = 0.0
    novelty: float = 0.0
    rate: float = 0.0


class SpreadBoard:
    """Exposures of one policy in a world.

    Args:
        visits: expected in all, told in so many ``windows``; what is left over at the end is not told.

    >>> from evaluation.simulator import WorldConfig
    >>> board = SpreadBoard(World(WorldConfig(users=5, items=4, new_items=0)), visits=2, windows=1)
    >>> board.add("u0", ["i0", "i1"], 0)
    >>> board.add("u1", ["i0", "i1"], 1)
    >>> [(w["coverage"], w["gini"]) for w in board.windows]
    [(0.5, 0.5)]
    """

    def __init__(self, world: World, *, visits: int, windows: int = 20) -> None:
        self._world, self._every = world, max(1, visits // windows)
        self._number = {name: k for k, name in enumerate(world.item_ids)}
        truth = world.truth.item_tags
        self._vectors = (truth / np.linalg.norm(truth, axis=1, keepdims=True)).astype(np.float32)
        self._shown = np.zeros(len(world.item_ids), np.int64)
        self._lately = np.zeros(len(world.item_ids), np.int64)
        self._now = _Window()
        self.windows: list[dict[str, Any]] = []

    def add(self, user: str, slate: Sequence[str], now: int) -> None:
        """A user was shown a slate."""
        rows = np.array([self._number[item] for item in slate], dtype=np.intp)
        self._now.slates += 1
        self._now.diversity += intra_list_diversity(self._vectors[rows])
        self._now.novelty += novelty(self._shown[rows], int(self._shown.sum()))
        self._now.rate += self._world.expected(user, slate, now)
        self._shown[rows] += 1
        self._lately[rows] += 1
        if self._now.slates >= self._every:
            self._close(now)

    def _close(self, now: int) -> None:
        created = self._world.truth.created
        there = created <= now
        window, n = self._now, self._now.slates
        self.windows.append({
            "until_s": (now - self._world.config.start_ms) / 1_000.0,
            "slates": n,
            "items": int(there.sum()),
            "coverage": float((self._lately[there] > 0).mean()),
            "ever_shown": float((self._shown[there] > 0).mean()),
            "gini": gini(self._lately[there]),
            "diversity": window.diversity / n,
            "novelty": window.novelty / n,
            "click_rate": window.rate / n,
            "new_share": self._new_share(created),
        })  # fmt: skip
        self._now, self._lately = _Window(), np.zeros_like(self._lately)

    def _new_share(self, created: NDArray[np.int64]) -> float:
        """Share of the window's slots given to items that arrived after the start."""
        new = created > self._world.config.start_ms
        return float(self._lately[new].sum() / max(self._lately.sum(), 1))
