"""Predicted against observed clicks of every slot that closed: overall, by decile, by surface and position.

A late click corrects the slot it belongs to, so that what is observed at the end is what really happened. The baseline
is the item's own click rate so far, test then learn; a second one multiplies it by how the position fares, which most
of a click head's advantage over the first is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.labels import Kind, Labelled
from online_models.learner import Watch

Floats = NDArray[np.float64]
PRIOR = 20.0
"""Impressions at the common rate that an item starts with in the baseline."""


@dataclass(slots=True)
class Closed:
    """One slot that was seen, what was predicted of it and what came of it."""

    served: int
    item: int
    position: int
    surface: str
    predicted: float
    clicked: bool


class ClosedSlots:
    """A watch that keeps every slot; one for a simulation, as it grows with it.

    Args:
        within: the watch that is told as well.
        schema: labels of another one are left out.
    """

    def __init__(self, within: Watch, schema: str) -> None:
        self._within, self._schema = within, schema
        self._rows: dict[tuple[int, int, int], Closed] = {}

    def observe(self, label: Labelled, predicted: float) -> None:
        """See :class:`online_models.learner.Watch`."""
        self._within.observe(label, predicted)
        if label.schema != self._schema:
            return
        key = (label.served, label.item, label.position)
        clicked = label.kind is not Kind.NEGATIVE
        if label.kind is Kind.CORRECTION and key in self._rows:
            self._rows[key].clicked = True
            return
        self._rows[key] = Closed(label.served, label.item, label.position, label.surface, predicted, clicked)

    def rows(self) -> list[Closed]:
        """All slots, in the order they were served."""
        return [row for _, row in sorted(self._rows.items())]


def calibration(rows: Sequence[Closed]) -> dict[str, object]:
    """Predicted over observed; None where nothing was clicked.

    >>> calibration([Closed(1, 7, 0, "home", 0.5, True), Closed(2, 7, 0, "home", 0.3, False)])["overall"]
    0.8
    """
    predicted = np.array([row.predicted for row in rows])
    clicked = np.array([row.clicked for row in rows], dtype=np.float64)
    deciles = np.array_split(np.argsort(predicted, kind="stable"), 10) if len(rows) else []
    places: dict[str, list[int]] = {}
    for k, row in enumerate(rows):
        places.setdefault(f"{row.surface}.{row.position}", []).append(k)
    return {
        "slots": len(rows),
        "clicks": int(clicked.sum()),
        "overall": _ratio(predicted, clicked),
        "by_decile": [_ratio(predicted[part], clicked[part]) for part in deciles],
        "decile_clicks": [int(clicked[part].sum()) for part in deciles],
        "by_position": {name: _ratio(predicted[at], clicked[at]) for name, at in sorted(places.items())},
    }


def normalised_entropy(rows: Sequence[Closed], since: int = 0) -> dict[str, float | None]:
    """Log-loss over the entropy of the common click rate, of the model and of two baselines (He et al., 2014).

    Args:
        since: slots served before are learnt by the baselines and not scored.
    """
    baselines = np.array(_baselines(rows)).reshape(-1, 2)
    scored = np.array([row.served >= since for row in rows], dtype=np.bool_)
    clicked = np.array([row.clicked for row in rows], dtype=np.float64)[scored]
    if not 0 < clicked.sum() < len(clicked):
        return {"model": None, "item_rate": None, "item_and_position_rate": None, "gain": None}
    rate = clicked.mean()
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
    model = np.array([row.predicted for row in rows])[scored]
    told = [_log_loss(p, clicked) / entropy for p in (model, *baselines[scored].T)]
    return {
        "model": told[0], "item_rate": told[1], "item_and_position_rate": told[2],
        "gain": 1.0 - told[0] / told[1], "gain_over_position": 1.0 - told[0] / told[2],
    }  # fmt: skip


def _baselines(rows: Sequence[Closed]) -> list[tuple[float, float]]:
    """Of each slot: its item's click rate before it, and that times how its position fares."""
    items: dict[int, tuple[float, float]] = {}
    positions: dict[int, tuple[float, float]] = {}
    seen, clicks, out = PRIOR, 0.05 * PRIOR, []
    for row in rows:
        rate = clicks / seen
        n, c = items.get(row.item, (0.0, 0.0))
        at_n, at_c = positions.get(row.position, (0.0, 0.0))
        by_item = (c + PRIOR * rate) / (n + PRIOR)
        by_position = (at_c + PRIOR * rate) / (at_n + PRIOR) / rate
        out.append((by_item, by_item * by_position))
        items[row.item] = (n + 1.0, c + row.clicked)
        positions[row.position] = (at_n + 1.0, at_c + row.clicked)
        seen, clicks = seen + 1.0, clicks + row.clicked
    return out


def _log_loss(p: Floats, clicked: Floats) -> float:
    p = np.clip(p, 1e-6, 1.0 - 1e-6)
    return float(-(clicked * np.log(p) + (1.0 - clicked) * np.log(1.0 - p)).mean())


def _ratio(predicted: Floats, clicked: Floats) -> float | None:
    return float(predicted.sum() / clicked.sum()) if clicked.any() else None
