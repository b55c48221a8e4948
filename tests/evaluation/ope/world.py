"""A world small enough to list every slate: 5 items, 3 slots, 3 kinds of user; what any policy earns is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.ope.looks import Looks
from evaluation.ope.marginals import Space, pseudo_inverse_weights, space_of
from evaluation.ope.sample import Sample
from online_models.bandit import PlackettLuce, Policy

ITEMS, SLOTS = 5, 3
LOGGED_BY = PlackettLuce(temperature=0.7, floor=0.3)
TARGET = PlackettLuce(temperature=0.5, floor=0.0)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of user: what the recommender scores, what it would click, and all that could be drawn for it."""

    scores: Floats
    click: Floats  # [slot, item], chance of a click where nothing above interferes
    logged: Space
    wanted: Space


def kinds(target: Policy = TARGET, seed: int = 3) -> list[Kind]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(3):
        scores = rng.normal(0.0, 0.7, ITEMS)
        taste = 0.5 / (1.0 + np.exp(-(scores + rng.normal(0.0, 0.7, ITEMS))))
        click = np.outer([1.0, 0.7, 0.5], taste)
        made.append(Kind(scores, click, space_of(LOGGED_BY, scores, SLOTS), space_of(target, scores, SLOTS)))
    return made


def chances(kind: Kind, slates: NDArray[np.intp], patience: float) -> Floats:
    """P(click) in every slot; each item above that is likely to be clicked lessens it by ``1 - patience``."""
    alone = kind.click[np.arange(SLOTS), slates]
    above = np.concatenate([np.zeros((len(slates), 1)), np.cumsum(alone, axis=1)[:, :-1]], axis=1)
    return alone * (1.0 - (1.0 - patience) * np.minimum(above, 1.0))


def truth(world: list[Kind], patience: float = 1.0) -> float:
    """Clicks a slate under the target, every kind being as common."""
    each = [kind.wanted.chance @ chances(kind, kind.wanted.slates, patience).sum(axis=1) for kind in world]
    return float(np.mean(each))


class Logger:
    """Draws logs of the world, as arrays; tables are made once."""

    def __init__(self, world: list[Kind], target: Policy = TARGET, patience: float = 1.0) -> None:
        self.world, self.patience = world, patience
        self.ladders = [np.cumsum(kind.logged.chance) for kind in world]
        self.ratio, self.marginal, self.slate, self.look = [], [], [], []
        for kind in world:
            self._tables(kind, target)

    def _tables(self, kind: Kind, target: Policy) -> None:
        slates, wanted = kind.logged.slates, kind.wanted.marginals(ITEMS)
        marginal = wanted / kind.logged.marginals(ITEMS)
        ratio, look = np.ones(slates.shape), np.zeros((len(slates), SLOTS, ITEMS))
        for at, slate in enumerate(slates):
            for k in range(SLOTS):
                able = np.setdiff1d(np.arange(ITEMS), slate[:k])
                pi, mu = (policy.probabilities(kind.scores, able) for policy in (target, LOGGED_BY))
                ratio[at, k] = (pi / mu)[able == slate[k]][0]
                look[at, k, able] = pi
        self.ratio.append(ratio)
        self.look.append(look)
        self.marginal.append(marginal[np.arange(SLOTS), slates])
        self.slate.append(pseudo_inverse_weights(kind.logged, wanted))

    def sample(self, users: int, visits: int, seed: int) -> Sample:
        """``visits`` slates for each of ``users``, whose liveliness differs, so that their slates are alike."""
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(users), visits)
        kind = (rng.random(users) * len(self.world)).astype(int)[user]
        lively = rng.uniform(0.4, 1.6, users)[user]
        slates, click = np.zeros((len(user), SLOTS), np.intp), np.zeros((len(user), SLOTS))
        ratio, marginal = np.ones_like(click), np.ones_like(click)
        slate, look = np.ones(len(user)), np.zeros((len(user), SLOTS, ITEMS))
        for k, one in enumerate(self.world):
            mine = np.flatnonzero(kind == k)
            drawn = np.searchsorted(self.ladders[k], rng.random(len(mine)) * self.ladders[k][-1], "right")
            slates[mine] = one.logged.slates[drawn]
            click[mine] = chances(one, one.logged.slates, self.patience)[drawn]
            ratio[mine], marginal[mine] = self.ratio[k][drawn], self.marginal[k][drawn]
            slate[mine], look[mine] = self.slate[k][drawn], self.look[k][drawn]
        clicks = (rng.random(click.shape) < click * lively[:, None]).astype(float)
        return Sample(
            user=user, clicks=clicks, item=slates, ratio=ratio, marginal=marginal, slate=slate, exact=True,
            outside=0.0, looks=_looks(look), items=ITEMS,
        )  # fmt: skip


def _looks(look: Floats) -> Looks:
    rows = np.arange(look.shape[0] * SLOTS)
    items = np.tile(np.arange(ITEMS, dtype=np.int32), len(rows))
    return Looks(look.shape[:2], rows, rows * ITEMS, items, look.ravel().astype(np.float32))
