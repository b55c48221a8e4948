"""Exploration with probabilities that can be trusted: whole slates, drawn slot by slot, each draw with its propensity.

A share of requests is randomised (:func:`online_models.chance.is_randomised`), the others are greedy. In a randomised
request every slot is one draw from an explicit ``pi(item | eligible set given the slots before)``: the *conditional*
propensity. Their product is the propensity of the slate; a *marginal* propensity of an item is not computed here.
Whatever is done to the slate afterwards would make them wrong, so the draw comes last. Every randomising policy is
mixed with a uniform floor, so that each eligible item keeps support.

River's bandits are not used for slates: they pull one arm of a fixed set, hold no context (or, LinUCBDisjoint, 0.5 ms
a pull) and give no propensity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.kernels import drawing as kernel

Scores = NDArray[np.float64]
Eligible = NDArray[np.intp]
EligibleGiven = Callable[[Sequence[int]], Eligible]
ScoresGiven = Callable[[Sequence[int]], Scores]


# ---------------------------------------------------------------------- policies


class Policy(Protocol):
    """One way to fill one slot.

    ``scores`` is float64[n] over all candidates of the request (Thompson: [heads, n], LinUCB: [2, n]); ``eligible``
    are indices into it, those that may stand here given the slots before.
    """

    name: str

    @property
    def spec(self) -> str:
        """Name and numbers in one word, enough to draw again: what the log says a slate was drawn by."""

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """The conditional propensity of each eligible candidate, aligned with ``eligible``; sums to 1."""

    def draw(self, scores: Scores, eligible: Eligible, rng: np.random.Generator) -> tuple[int, float]:
        """A candidate (an index into ``scores``) and the propensity of this choice."""


class _Drawn:
    """Draws by the probabilities; what is returned is exactly what was drawn from."""

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        raise NotImplementedError

    def draw(self, scores: Scores, eligible: Eligible, rng: np.random.Generator) -> tuple[int, float]:
        """A candidate and its propensity, by one uniform number."""
        _check_eligible(eligible)
        p = self.probabilities(scores, eligible)
        ladder = p.cumsum()
        at = int(ladder.searchsorted(rng.random() * ladder[-1], side="right"))
        at = min(at, len(eligible) - 1)
        return int(eligible[at]), min(float(p[at]), 1.0)


class Greedy:
    """The best eligible candidate, ties by the lower index; propensity 1.

    >>> Greedy().draw(np.array([0.1, 0.7, 0.7]), np.array([0, 2, 1]), np.random.default_rng(0))
    (1, 1.0)
    """

    name = spec = "greedy"

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """1 for the best, 0 for the others."""
        return _one_hot(_sunk(scores[eligible]), eligible)

    def draw(self, scores: Scores, eligible: Eligible, rng: np.random.Generator) -> tuple[int, float]:
        """The best; uses no random number."""
        _check_eligible(eligible)
        value = _sunk(scores[eligible])
        return int(eligible[value == value.max()].min()), 1.0


class PlackettLuce(_Drawn):
    """Softmax over the eligible scores, slot by slot (Plackett, 1975; Luce, 1959), mixed with a uniform floor.

    Args:
        temperature: above 0; small is close to greedy.
        floor: the uniform share, in [0, 1].

    >>> PlackettLuce(floor=0.1).probabilities(np.array([0.0, np.log(3.0)]), np.array([0, 1])).round(3).tolist()
    [0.275, 0.725]
    """

    name = "plackett_luce"

    def __init__(self, temperature: float = 1.0, floor: float = 0.1) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        self.temperature, self.floor = temperature, _share("floor", floor)

    @property
    def spec(self) -> str:
        """As ``plackett_luce:TEMPERATURE:FLOOR``."""
        return f"{self.name}:{self.temperature:g}:{self.floor:g}"

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """``(1 - floor) * softmax(score / temperature) + floor / m``."""
        return kernel.softmax(scores, eligible, self.temperature, self.floor)


class EpsilonGreedy(_Drawn):
    """The best, or with probability ``epsilon`` any eligible candidate, the best among them.

    >>> EpsilonGreedy(0.1).probabilities(np.array([1.0, 2.0]), np.array([0, 1])).round(3).tolist()
    [0.05, 0.95]
    """

    name = "epsilon_greedy"

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = _share("epsilon", epsilon)

    @property
    def spec(self) -> str:
        """As ``epsilon_greedy:EPSILON``."""
        return f"{self.name}:{self.epsilon:g}"

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """``epsilon / m`` each, and the rest for the best."""
        return _mixed(_one_hot(_sunk(scores[eligible]), eligible), self.epsilon)


class SquareCB(_Drawn):
    """Inverse gap weighting (Foster and Rakhlin, ICML 2020): ``1 / (m + gamma * gap)``, the rest for the best.

    Scores are expected rewards between 0 and 1 (click probabilities).

    Args:
        gamma: at least 0; large is close to greedy.
        floor: the uniform share mixed in, in [0, 1].

    >>> SquareCB(gamma=10.0, floor=0.0).probabilities(np.array([0.5, 0.3]), np.array([0, 1])).tolist()
    [0.75, 0.25]
    """

    name = "squarecb"

    def __init__(self, gamma: float = 100.0, floor: float = 0.0) -> None:
        if not (gamma >= 0 and math.isfinite(gamma)):
            raise ValueError(f"gamma must be at least 0 and finite, not {gamma}")
        self.gamma, self.floor = gamma, _share("floor", floor)

    @property
    def spec(self) -> str:
        """As ``squarecb:GAMMA:FLOOR``."""
        return f"{self.name}:{self.gamma:g}:{self.floor:g}"

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """Inverse gap weights over the eligible."""
        value = np.where(np.isfinite(scores[eligible]), scores[eligible], 0.0).clip(0.0, 1.0)
        best = int(_one_hot(value, eligible).argmax())
        p = 1.0 / (len(eligible) + self.gamma * (value[best] - value))
        p[best] = 0.0
        p[best] = 1.0 - p.sum()
        return _mixed(p, self.floor)


class Thompson(_Drawn):
    """A bag of posterior heads, one picked for each slot; the propensity is the share of heads that choose the item.

    ``scores`` is float64[heads, n] (:func:`posterior_heads`): each head names its best eligible candidate, so the
    propensity is exact by counting (Osband and Van Roy, 2015, for bootstrapped Thompson sampling).

    Args:
        floor: the uniform share mixed in, in [0, 1]; without it items no head prefers have no support.

    >>> by_head = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    >>> Thompson(floor=0.0).probabilities(by_head, np.array([0, 1])).round(2).tolist()
    [0.33, 0.67]
    """

    name = "thompson"

    def __init__(self, floor: float = 0.1) -> None:
        self.floor = _share("floor", floor)

    @property
    def spec(self) -> str:
        """As ``thompson:FLOOR``."""
        return f"{self.name}:{self.floor:g}"

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """The share of heads for each eligible candidate, mixed with the floor."""
        order = np.argsort(eligible, kind="stable")  # argmax takes the first: ties go to the lower index
        winners = order[_sunk(scores[:, eligible[order]]).argmax(axis=1)]
        return _mixed(np.bincount(winners, minlength=len(eligible)) / len(scores), self.floor)


class LinUCB(_Drawn):
    """The best of mean plus ``width`` times the standard error (Li et al., WWW 2010), only inside a uniform mixture.

    Upper bounds alone are deterministic and could not be evaluated. ``scores`` is float64[2, n]: means, then
    standard errors (:func:`standard_errors`).

    Args:
        width: of the bound, in standard errors, at least 0.
        floor: the uniform share, in (0, 1].

    >>> LinUCB(width=1.0).probabilities(np.array([[0.5, 0.4], [0.0, 0.3]]), np.array([0, 1])).round(3).tolist()
    [0.05, 0.95]
    """

    name = "linucb"

    def __init__(self, width: float = 1.0, floor: float = 0.1) -> None:
        if not width >= 0:
            raise ValueError(f"width must be at least 0, not {width}")
        if not floor > 0:
            raise ValueError(f"floor must be in (0, 1], not {floor}: without it nothing could be evaluated")
        self.width, self.floor = width, _share("floor", floor)

    @property
    def spec(self) -> str:
        """As ``linucb:WIDTH:FLOOR``."""
        return f"{self.name}:{self.width:g}:{self.floor:g}"

    def probabilities(self, scores: Scores, eligible: Eligible) -> Scores:
        """``floor / m`` each, and the rest for the highest bound."""
        bound = scores[0, eligible] + self.width * scores[1, eligible]
        return _mixed(_one_hot(_sunk(bound), eligible), self.floor)


# ---------------------------------------------------------------------- slates


@dataclass(frozen=True, slots=True)
class Slate:
    """What was drawn, slot by slot; candidates are indices into the request's scores."""

    chosen: tuple[int, ...]
    propensities: tuple[float, ...]  # conditional, given the slots before
    able: tuple[Eligible, ...] = field(compare=False)  # from which each was drawn
    pinned: tuple[int, ...]  # slots that were set by rule
    policy: str  # its spec

    @property
    def eligible(self) -> tuple[tuple[int, ...], ...]:
        """From which each was drawn."""
        return tuple(tuple(able.tolist()) for able in self.able)

    @property
    def propensity(self) -> float:
        """Of the slate as a whole: the product of the conditional propensities."""
        return math.prod(self.propensities)


def draw_slate(
    policy: Policy,
    scores: Scores,
    slots: int,
    rng: np.random.Generator,
    *,
    eligible: EligibleGiven | None = None,
    given: ScoresGiven | None = None,
    pinned: Mapping[int, int] | None = None,
) -> Slate:
    """Fill a slate slot by slot; shorter than ``slots`` when nothing is eligible any more.

    Args:
        scores: as the policy takes them; candidates are along the last axis.
        eligible: given the candidates chosen so far, those that may come next; default: all not yet chosen.
        given: given the candidates chosen so far, the scores to go by (diversity); default: ``scores``.
        pinned: slot to candidate, set by rule: propensity 1, named in the result, chosen nowhere else.

    >>> slate = draw_slate(Greedy(), np.array([0.1, 0.9, 0.5]), 2, np.random.default_rng(0))
    >>> slate.chosen, slate.propensity
    ((1, 2), 1.0)
    """
    pinned = pinned or {}
    chosen: list[int] = []
    propensities: list[float] = []
    sets: list[Eligible] = []
    free = np.ones(scores.shape[-1], dtype=bool)
    free[list(pinned.values())] = False
    for slot in range(slots):
        if slot in pinned:
            choice, p, able = pinned[slot], 1.0, np.array([pinned[slot]])
        else:
            able = free.nonzero()[0]
            if eligible is not None:
                allowed = np.asarray(eligible(chosen), dtype=np.intp)
                able = allowed[free[allowed]]
            if not len(able):
                break
            choice, p = policy.draw(scores if given is None else given(chosen), able, rng)
        free[choice] = False
        chosen.append(choice)
        propensities.append(p)
        sets.append(able)
    set_by_rule = tuple(slot for slot in sorted(pinned) if slot < len(chosen))
    return Slate(tuple(chosen), tuple(propensities), tuple(sets), set_by_rule, policy.spec)


# ---------------------------------------------------------------------- shared


def _check_eligible(eligible: Eligible) -> None:
    if not len(eligible):
        raise ValueError("eligible must hold at least one candidate")


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], not {value}")
    return value


def _sunk(scores: Scores) -> Scores:
    """Scores that are not finite are worse than all that are."""
    return np.where(np.isfinite(scores), scores, -np.inf)


def _one_hot(value: Scores, eligible: Eligible) -> Scores:
    best = np.flatnonzero(value == value.max())
    out = np.zeros(len(value))
    out[best[np.argmin(eligible[best])]] = 1.0
    return out


def _mixed(p: Scores, floor: float) -> Scores:
    out: Scores = (1.0 - floor) * p + floor / len(p)
    return out
