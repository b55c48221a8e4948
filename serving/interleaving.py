"""Two rankings in one slate: which of them users prefer, with far fewer users than an A/B test needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Team = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A slate and, slot by slot, the ranking that chose the item; no draw of a policy, so flag it ``interleaved``."""

    items: tuple[str, ...]
    teams: tuple[Team, ...]

    def credit(self, clicked: Collection[str]) -> tuple[int, int]:
        """Clicks on items that a and b chose.

        >>> Interleaved(("x", "y", "z"), ("a", "b", "b")).credit({"y", "z"})
        (0, 2)
        """
        won = [team for item, team in zip(self.items, self.teams, strict=True) if item in clicked]
        return won.count("a"), won.count("b")


def team_draft(a: Sequence[str], b: Sequence[str], n: int, rng: np.random.Generator) -> Interleaved:
    """Team-draft interleaving (Radlinski, Kurup and Joachims, CIKM 2008).

    In every round a coin says which ranking chooses first; each chooses its best item that is not yet in. Of two equal
    rankings each is as likely to have chosen any slot.

    Args:
        n: slots, at least 1; fewer are filled where both rankings end.

    >>> both = team_draft(["x", "y"], ["y", "z"], 3, np.random.default_rng(0))
    >>> sorted(both.items)
    ['x', 'y', 'z']
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    items: list[str] = []
    teams: list[Team] = []
    while len(items) < n:
        before = len(items)
        order: tuple[Team, Team] = ("a", "b") if rng.random() < 0.5 else ("b", "a")
        for team in order:
            ranking = a if team == "a" else b
            best = next((item for item in ranking if item not in items), None)
            if best is not None and len(items) < n:
                items.append(best)
                teams.append(team)
        if len(items) == before:
            break
    return Interleaved(tuple(items), tuple(teams))
