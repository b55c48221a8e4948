"""The heads of all actions beside the click in one process: each learns from its own labels, in its own window.

They are shared by all versions of the model, as sources and counters are; what they are worth is decided elsewhere
(:mod:`online_models.objective_weights`), so that weights may be moved at any time and find heads that know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids
from online_models.events import VALUED
from online_models.labels import Kind, Labelled
from online_models.objective_head import ObjectiveHead
from online_models.objective_watch import ObjectiveWatch
from online_models.objective_weights import CLICK
from online_models.ranker import Rows
from online_models.windows import Window

Floats = NDArray[np.float64]

_PREFIX = "objective:"


class Objectives:
    """One head an action.

    Args:
        features: names of the rows, those of the click head.
        windows: the actions with a head, and how each is waited for; the click has a head of its own elsewhere.
        surfaces: with a term of their own.

    >>> Objectives(["x"], {"purchase": Window(86_400_000, after_click=True)}).after_click
    frozenset({'purchase'})
    """

    def __init__(
        self,
        features: Sequence[str],
        windows: Mapping[str, Window] | None = None,
        *,
        surfaces: Sequence[str] = ("default",),
    ) -> None:
        self.heads = {
            action: ObjectiveHead(
                action, features, surfaces=surfaces, after_click=window.after_click, valued=action in VALUED
            )
            for action, window in sorted((windows or {}).items())
            if action != CLICK
        }
        self.after_click = frozenset(name for name, head in self.heads.items() if head.after_click)
        self.watch = ObjectiveWatch(self.heads)

    @property
    def actions(self) -> tuple[str, ...]:
        """Those with a head, by name."""
        return tuple(self.heads)

    def predict(
        self, actions: Iterable[str], rows: Rows, ids: Ids, now: int, surface: str
    ) -> dict[str, Floats]:
        """What the heads of some actions say of candidates on top of a slate; actions without one are left out."""
        return {
            action: self.heads[action].predict(rows, ids, now, 0, surface)
            for action in actions
            if action in self.heads
        }

    # ------------------------------------------------------------------ learning

    def learn(self, label: Labelled) -> None:
        """One slot with its label, in the order in which its action's windows close; measured before it is learnt."""
        action = label.action
        head = self.heads.get(action)
        if head is None:
            return
        row, at, surface = label.features, label.position, label.surface
        worth = min(max(label.value, 0.0), 1.0) if head.valued else 1.0
        if label.kind is Kind.CORRECTION:
            head.correct(row, label.item, worth, ts=label.ts, position=at, surface=surface)
            self.watch.corrections[action] += 1
            return
        came = worth if label.kind is Kind.POSITIVE else 0.0
        told = head.learn(row, label.item, came, ts=label.ts, position=at, surface=surface)
        if told is not None:
            predicted, slots = told
            self.watch.observe(action, came, predicted, slots, label.ts)

    # ------------------------------------------------------------------ exchange and snapshots

    def take_delta(self) -> dict[str, Arrays]:
        """What was learnt here since last asked, by part of a delta."""
        told = {_PREFIX + action: head.take_delta() for action, head in self.heads.items()}
        return {part: arrays for part, arrays in told.items() if arrays}

    def merge(self, learners: Mapping[str, Arrays]) -> str:
        """Add what another process told; returns the part that would do harm, empty when none."""
        for action, head in self.heads.items():
            told = learners.get(_PREFIX + action)
            if told is not None and not head.merge(told):
                return _PREFIX + action
        return ""

    def components(self) -> dict[str, Arrays]:
        """All that is learnt, by component of a snapshot."""
        return {_PREFIX + action: head.arrays() for action, head in self.heads.items()}

    def load(self, components: Mapping[str, Arrays]) -> None:
        """Restore what :meth:`components` gave; an action that older snapshots do not hold stays as it is."""
        for action, head in self.heads.items():
            if _PREFIX + action in components:
                head.load(components[_PREFIX + action])
