"""A guess of the clicks, never made from the slates it is used on: cross-fitted by user.

The guess is a slot's click rate times an item's factor, its clicks over those expected in the slots where it stood
(Zhang and Jones, WWW 2007), drawn to 1 where little is known.
"""

from __future__ import annotations

import numpy as np

from evaluation.ope.records import Floats, Indices
from evaluation.ope.sample import Sample

FOLDS = 5
SHRINK = 1.0
"""Expected clicks that an item's factor needs to count half."""


def folds_of(user: Indices, *, folds: int = FOLDS, seed: int = 0) -> Indices:
    """A fold for every row, the same for all rows of a user.

    >>> one, _, same = folds_of(np.array([0, 1, 0])).tolist()
    >>> one == same
    True
    """
    rng = np.random.default_rng(seed)
    out: Indices = rng.permutation(int(user.max()) + 1)[user] % folds
    return out


def table_of(slot: Indices, item: Indices, clicks: Floats, slots: int, items: int) -> Floats:
    """P(click) as guessed for every slot and item, float64[slots, items]; arguments are one entry a showing.

    >>> table_of(np.array([0, 0]), np.array([0, 1]), np.array([1.0, 0.0]), 1, 2).round(2).tolist()
    [[0.67, 0.33]]
    """
    shown = np.bincount(slot, minlength=slots)
    rate = np.bincount(slot, clicks, slots) / np.maximum(shown, 1)
    expected = np.bincount(item, rate[slot], items)
    factor = (np.bincount(item, clicks, items) + SHRINK) / (expected + SHRINK)
    out: Floats = np.minimum(np.outer(rate, factor), 1.0)
    return out


def cross_fitted(sample: Sample, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Clicks expected from each slot down, of what stood there and of what the target would draw, float64[n, K] each.

    What is expected below a slot is the target's mean over the other folds: it must not look at the draws below.
    """
    there = sample.item >= 0
    fold = folds_of(sample.user, seed=seed)
    drawn, looked = np.zeros_like(sample.clicks), np.zeros_like(sample.clicks)
    for k in range(FOLDS):
        mine = fold == k
        others = there & ~mine[:, None]
        if not mine.any() or not others.any():
            continue
        row, slot = np.nonzero(others)
        table = table_of(slot, sample.item[row, slot], sample.clicks[row, slot], there.shape[1], sample.items)
        wanted = sample.looks.mean(table)
        below = _below(wanted[~mine].mean(axis=0))
        now = np.where(there, table[np.arange(there.shape[1]), sample.item], 0.0)
        drawn[mine], looked[mine] = now[mine] + below, wanted[mine] + below
    return drawn, looked


def _below(mean: Floats) -> Floats:
    """What all slots below each one add up to."""
    out: Floats = np.append(np.cumsum(mean[::-1])[::-1][1:], 0.0)
    return out
