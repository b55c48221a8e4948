"""How well each version of the model predicts the same clicks, live and in the shadow, before it learns them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from online_models.heads import Heads
from online_models.labels import Kind, Labelled

_LEAST = 1e-6


@dataclass(slots=True)
class Loss:
    """Fading sums of one version: the log-loss in nats, over how many slots."""

    total: float = 0.0
    weight: float = 0.0

    @property
    def mean(self) -> float | None:
        """Nats a slot; None before the first."""
        return self.total / self.weight if self.weight else None


class ShadowLoss:
    """Log-loss by version, over the same slots from the moment on when the versions are held together.

    Nothing is measured while there is but one version: then there is nothing to compare.

    Args:
        heads: the versions held now, by name.
        slots: that the means look back on, about; at least 1.
    """

    def __init__(self, heads: Callable[[], Mapping[str, Heads]], *, slots: int = 10_000) -> None:
        if slots < 1:
            raise ValueError(f"slots must be at least 1, not {slots}")
        self._heads, self._keep = heads, 1.0 - 1.0 / slots
        self.losses: dict[str, Loss] = {}

    def observe(self, label: Labelled) -> None:
        """A closed slot, before any version learns it; a correction was measured when it closed."""
        heads = self._heads()
        if len(heads) < 2 or label.kind is Kind.CORRECTION:
            self.losses = {name: loss for name, loss in self.losses.items() if len(heads) > 1}
            return
        if self.losses.keys() != heads.keys():  # compared are the same slots: all begin anew
            self.losses = {name: Loss() for name in heads}
        for name, one in heads.items():
            if len(label.features) != len(one.ranker.features):
                continue
            loss = self.losses[name]
            loss.total = self._keep * loss.total + _loss(one, label)
            loss.weight = self._keep * loss.weight + 1.0

    def told(self) -> dict[str, Any]:
        """As plain values: by version the fading sums."""
        return {name: [loss.total, loss.weight] for name, loss in self.losses.items()}


def _loss(heads: Heads, label: Labelled) -> float:
    """Nats; what is no number is as bad as can be."""
    p = _probability(heads, label)
    of_truth = p if label.kind is Kind.POSITIVE else 1.0 - p
    return -math.log(max(of_truth, _LEAST)) if math.isfinite(p) else -math.log(_LEAST)


def _probability(heads: Heads, label: Labelled) -> float:
    """Not a number where the version cannot say: a broken challenger must not keep the others from learning."""
    try:
        logit = np.array([heads.ranker.logit(label.features, label.position, label.surface)])
        return float(heads.calibration.predict(logit, label.surface, np.array([label.position]))[0])
    except Exception:
        return math.nan
