"""What goes into a request and what comes out of it: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.candidates import Candidates
from online_models.events import Request
from online_models.objective_weights import CLICKS, Weights

Seen = Literal["acted", "fatigue", "none"]
PolicyName = Literal["plackett_luce", "squarecb", "epsilon_greedy", "thompson", "linucb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfacePolicy:
    """How slates of one surface (home page, item page, ...) are made; the settings say what each means."""

    seen: Seen = "acted"
    fatigue_k: int = 5
    policy: PolicyName = "plackett_luce"
    randomised_share: float = 0.05
    swap_share: float = 0.01
    uniform_floor: float = 0.10
    temperature: float = 1.0
    diversity: float = 0.15
    per_tag_cap: int = 0
    new_item_share: float = 0.1
    objectives: Weights = CLICKS


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateRequest:
    """Somebody wants ``n`` items for a user; ``tags`` and ``providers`` restrict them when not empty.

    ``pins`` are items that stand at a position (0 for the top) as long as no filter removes them;
    ``n_asked`` says that the request named ``n``: an experiment changes only what it did not.
    """

    request_id: str
    user_id: str
    surface: str = "default"
    n: int = 20
    exclude: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    pins: Mapping[str, int] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False
    n_asked: bool = True

    @classmethod
    def of(cls, request: Request, n: int) -> SlateRequest:
        """A request from the topic, with the deployment's slate length where it names none."""
        return cls(
            request_id=request.request_id,
            user_id=request.user_id,
            surface=request.surface,
            n=request.n or n,
            exclude=tuple(request.exclude),
            tags=tuple(request.filter.tags),
            providers=tuple(request.filter.providers),
            pins=request.pins,
            context=request.context,
            n_asked=request.n is not None,
        )


class SlateItem(NamedTuple):
    """One slot: ``propensity`` is conditional on the slots before it, ``probability`` that of a click here."""

    item_id: str
    number: int
    position: int
    score: float
    source: str
    propensity: float = 1.0
    probability: float = 0.0
    title: str = ""
    reasons: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a randomised slate was drawn from: enough to draw again and to evaluate another policy.

    Attributes:
        scores: that the draw went by in the first slot, float64[n]; of several rows their mean (Thompson), or the
            first (LinUCB).
        barred: ``barred[k]`` are the candidates (by place) that could not stand in slot ``k`` though not chosen before.
        rows: Thompson's heads, float16[heads, n], or LinUCB's means and widths, float16[2, n]: what was drawn by.
        penalty, likeness: with diversity, slot ``k`` went by ``scores - penalty * likeness[k - 1] / 255``,
            uint8[slots - 1, n].
    """

    items: tuple[str, ...]
    scores: NDArray[np.float64]
    barred: tuple[tuple[int, ...], ...]
    rows: NDArray[np.float16] | None = None
    penalty: float = 0.0
    likeness: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """What a slate was ordered for, when that is more than clicks.

    ``said`` is by action what its head said of each slot, as the order went by it (on top of the slate): P(click); the
    others P(action), given the click where they are waited for after it.
    """

    weights: Weights
    said: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """An answer, with everything that makes it an exposure.

    ``features`` is float16[slots, F] as served; ``removed`` counts what each filter left out; ``degraded`` says which
    part could not be had, empty when all could; ``took_ms`` is how long a slate of some variant took to make; ``aims``
    is None for one that was ordered for clicks alone.
    """

    request_id: str
    user_id: str
    surface: str
    items: tuple[SlateItem, ...]
    policy: str
    model_version: str
    feature_schema: str = ""
    features: NDArray[np.float16] | None = None
    candidates: Candidates | None = None
    choice: Choice | None = None
    flags: tuple[str, ...] = ()
    swapped: int | None = None
    removed: Mapping[str, int] = field(default_factory=dict)
    degraded: str = ""
    variant: str = ""
    took_ms: float = 0.0
    aims: Aims | None = None

    def told(self) -> Slate:
        """The same without what was only needed to choose it."""
        return Slate(
            request_id=self.request_id, user_id=self.user_id, surface=self.surface, items=self.items,
            policy=self.policy, model_version=self.model_version, feature_schema=self.feature_schema,
            features=self.features, flags=self.flags, swapped=self.swapped, removed=self.removed,
            degraded=self.degraded, variant=self.variant, took_ms=self.took_ms, aims=self.aims,
        )  # fmt: skip
