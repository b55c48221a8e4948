"""What showing an item is worth: the heads' answers and the weights of their actions, as one score to order by.

    V = sum over actions of weight * P(action | shown),    score = k * asinh(V / 2e)

For an action that is waited for after the click, ``P = P(click) * P(action | click)``. ``P(click)`` is what the order
by clicks alone implies: with ``s`` its score, ``sigmoid(s / k + b)``, where ``k`` is how many heads speak in ``s`` and
``b`` makes its best candidates agree with the click head's calibrated probability (least squares in log-odds). So
whatever the order by clicks knows is kept, an action whose head says the same of every item moves nobody, and weights
may be moved in small steps. The score is the log of the value, of both signs; ``e`` is where it goes over to a line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.objective_weights import CLICK, Weights

Floats = NDArray[np.float64]

SUNK = -1e9
"""The score of a candidate whose own was not finite: it stays at the end."""
_BEST = 20
_SMALL = 1e-3


@dataclass(frozen=True, slots=True)
class Valued:
    """A request's candidates by what showing them is worth.

    Attributes:
        clicks: P(click) as the order by clicks has it, float64[n].
        said: by action what its head says of each candidate, float64[n]; of an action ``after_click`` given the click.
        scores: to order by, float64[n]; greater is better.
        unit: the value from which on the scale is a log.

    >>> scores, clicks = np.log([0.3, 0.1]) - np.log([0.7, 0.9]), np.array([0.3, 0.1])
    >>> weights = Weights.parse({"click": 1, "purchase": 20})
    >>> worth = Valued.of(weights, scores, clicks, 0.0, {"purchase": np.array([0.01, 0.8])}, {"purchase"})
    >>> worth.value(worth.clicks).round(2).tolist()
    [0.36, 1.7]
    """

    weights: Weights
    clicks: Floats
    said: Mapping[str, Floats]
    after_click: Collection[str]
    unit: float
    scores: Floats

    @classmethod
    def of(
        cls,
        weights: Weights,
        scores: Floats,
        clicks: Floats,
        click_weight: float,
        said: Mapping[str, Floats],
        after_click: Collection[str] = (),
    ) -> Valued:
        """What the candidates are worth.

        Args:
            scores: of the order by clicks alone, float64[n].
            clicks: the click head's calibrated probabilities, float64[n].
            click_weight: how much the click head has to say in ``scores``, from 0 to 1.
            said: by action what its head says, float64[n]; an action that is not there counts nothing.
            after_click: actions whose head speaks of slots that were clicked.
        """
        heads = 1.0 + click_weight
        p = implied(scores, clicks, heads)
        parts = _parts(weights, p, said, after_click)
        size = np.sum([np.abs(part) for part in parts], axis=0) if parts else np.zeros(1)
        unit = max(_SMALL * float(np.mean(size)), 1e-12) if len(scores) else 1.0
        made = np.where(
            scores <= SUNK, scores, heads * _log_of_both_signs(sum(parts, np.zeros(len(p))), unit)
        )
        return cls(weights, p, said, after_click, unit, made)

    def value(self, clicks: Floats) -> Floats:
        """V with these click probabilities, float64[n] or [heads, n]."""
        out: Floats = sum(_parts(self.weights, clicks, self.said, self.after_click), np.zeros(clicks.shape))
        return out

    # ------------------------------------------------------------------ what randomised requests are drawn by

    def between(self, clicks: Floats) -> Floats:
        """V with these click probabilities, between 0 (the worst there could be) and 1; float64[n]."""
        high = sum(weight for _, weight in self.weights.of if weight > 0)
        low = sum(weight for _, weight in self.weights.of if weight < 0)
        out: Floats = (self.value(clicks) - low) / (high - low)
        return out

    def by_head(self, logits: Floats, clicks: Floats) -> Floats:
        """V on a log scale by each of several heads' log-odds of a click, float64[heads, n].

        Heads speak of features alone; what all candidates share is added so that their mean is that of ``clicks``.
        """
        shared = float(np.mean(_logit(clicks)) - np.mean(logits)) if logits.size else 0.0
        return _log_of_both_signs(self.value(_sigmoid(logits + shared)), self.unit)

    def with_width(self, clicks: Floats, widths: Floats) -> Floats:
        """V on a log scale, and its standard error by that of the click's log-odds; float64[2, n]."""
        value = self.value(clicks)
        a_click = self.value(np.ones_like(clicks)) - self.value(
            np.zeros_like(clicks)
        )  # V is linear in P(click)
        slope = np.abs(a_click) * clicks * (1.0 - clicks) / np.sqrt(value * value + 4.0 * self.unit**2)
        return np.stack([_log_of_both_signs(value, self.unit), widths * slope])


def implied(scores: Floats, clicks: Floats, heads: float) -> Floats:
    """P(click) as the order by clicks has it, float64[n]: in the order of ``scores``, on the scale of ``clicks``.

    >>> implied(np.array([2.0, 0.0]), np.array([0.2, 0.2]), 1.0).round(3).tolist()
    [0.405, 0.084]
    """
    if not len(scores):
        return clicks
    logits = np.maximum(scores, SUNK) / heads
    best = np.argsort(-scores, kind="stable")[:_BEST]
    best = best[scores[best] > SUNK]
    shift = float(np.mean(_logit(clicks[best]) - logits[best])) if len(best) else 0.0
    return _sigmoid(logits + shift)


def _parts(
    weights: Weights, clicks: Floats, said: Mapping[str, Floats], after_click: Collection[str]
) -> list[Floats]:
    """What each action adds to V."""
    out = []
    for action, weight in weights.of:
        if action == CLICK:
            out.append(weight * clicks)
        elif action in said:
            out.append(weight * (said[action] * clicks if action in after_click else said[action]))
    return out


def _log_of_both_signs(value: Floats, unit: float) -> Floats:
    out: Floats = np.arcsinh(value / (2.0 * unit))
    return out


def _logit(p: Floats) -> Floats:
    inside = np.clip(p, 1e-9, 1.0 - 1e-9)
    out: Floats = np.log(inside) - np.log1p(-inside)
    return out


def _sigmoid(x: Floats) -> Floats:
    out: Floats = 1.0 / (1.0 + np.exp(-np.clip(x, -500.0, 500.0)))
    return out
