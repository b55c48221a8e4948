"""One version of what is learnt above the sources: an ordering head, a click head, and the calibration of the latter.

Versions share sources, counters and features, so a challenger costs what its heads cost, and learns from the very same
candidates and labels as the one that is live.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from online_models.base import Arrays
from online_models.calibration import Calibration
from online_models.candidates import Candidates
from online_models.counters import CLICK
from online_models.features import FeatureSchema
from online_models.labels import Kind, Labelled
from online_models.ordering import OrderingHead
from online_models.ranker import ClickRanker, keep_negative

log = logging.getLogger(__name__)

BASE = "base"
"""The version that settings make; there before any other."""
CLICKS_TO_TRUST = 50.0
"""Clicks after which the click head has half its say in the order."""
_PARTS = ("ordering", "click", "calibration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a version differs from the base; None is as the base.

    Attributes:
        rate, deep_rate, hidden, half_life: of the ordering head (:class:`online_models.ordering.OrderingHead`).
        alpha, click_half_life_ms: of the click head (:class:`online_models.ranker.ClickRanker`).
        warm: begin with the weights of the live version, where shapes are the same.
    """

    rate: float | None = None
    deep_rate: float | None = None
    hidden: int | None = None
    half_life: float | None = None
    alpha: float | None = None
    click_half_life_ms: int | None = None
    warm: bool = True

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Recipe:
        """A recipe by names and numbers.

        Raises:
            ValueError: there is no such name, or a value is no number.

        >>> Recipe.of({"rate": 0.05}).rate
        0.05
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(told) - known):
            raise ValueError(f"a recipe has no {', '.join(unknown)}; it may name {', '.join(sorted(known))}")
        for name, value in told.items():
            if not isinstance(value, bool | int | float):
                raise ValueError(f"{name} must be a number, not {value!r}")
        return cls(**told)


@dataclass(frozen=True, slots=True)
class OwnWeights:
    """Weights of one variant of an experiment: its ``label`` as exposures carry it, and the recipe they learn by."""

    label: str
    recipe: Mapping[str, Any]


class Heads:
    """What orders candidates and says how likely a click is, in one version.

    ``only`` is the variant of an experiment whose users alone it learns from; empty for everybody's.
    """

    def __init__(
        self, version: str, ordering: OrderingHead, ranker: ClickRanker, calibration: Calibration
    ) -> None:
        self.version = version
        self.ordering, self.ranker, self.calibration = ordering, ranker, calibration
        self.learning = True
        self.broken = False  # it failed on what it was to learn, and is left alone since
        self.only = ""
        self.calibrates = version != BASE  # the base's calibration is moved by what watches the labels

    @property
    def click_weight(self) -> float:
        """How much the log-odds of a click count beside the ordering head's score: 0 before the first click learnt."""
        clicks = self.ranker.evidence
        return clicks / (clicks + CLICKS_TO_TRUST)

    # ------------------------------------------------------------------ learning

    def hears(self, variant: str) -> bool:
        """Whether what happened to a request of these variants is learnt from."""
        return self.learning and not self.broken and (not self.only or self.only in variant.split())

    def learn_order(self, candidates: Candidates, target: int, variant: str = "") -> None:
        """One of the candidates was acted on, of a slate made for ``variant``."""
        if not self.hears(variant):
            return
        try:
            self.ordering.learn(candidates, target)
        except Exception as error:
            self._fails(error)

    def judge(self, label: Labelled) -> None:
        """What came of one slot is held against what is foretold; before any of its slate is learnt."""
        if not self.calibrates or label.kind is Kind.CORRECTION or not self.hears(label.variant):
            return
        if len(label.features) != len(self.ranker.features):
            return
        try:
            logit = self.ranker.logit(label.features, label.position, label.surface)
            clicked = label.kind is Kind.POSITIVE
            self.calibration.update(logit, clicked, label.surface, label.position)
        except Exception as error:
            self._fails(error)

    def learn_label(self, label: Labelled) -> None:
        """One slot with its label, in the order in which windows close, after :meth:`judge`.

        Labels of other actions than clicks are no business of the click head.
        """
        if not self.hears(label.variant) or label.action != CLICK:
            return
        try:
            self._learn_label(label)
        except Exception as error:
            self._fails(error)

    def _fails(self, error: Exception) -> None:
        """A challenger that cannot learn, such as one of weights of another shape, must not keep the others from it."""
        if self.version == BASE:
            raise error
        self.broken = True
        log.error("version %s cannot learn and is left alone: %s", self.version, error, exc_info=error)

    def _learn_label(self, label: Labelled) -> None:
        row, at, surface = label.features, label.position, label.surface
        kept = keep_negative(row, label.item, self.ranker.negative_rate)
        if label.kind is Kind.CORRECTION:
            self.ranker.learn_correction(row, ts=label.ts, position=at, surface=surface, negative_kept=kept)
            return
        clicked = label.kind is Kind.POSITIVE
        if clicked or kept:
            self.ranker.learn(row, clicked, ts=label.ts, position=at, surface=surface)

    # ------------------------------------------------------------------ exchange and snapshots

    def take_delta(self) -> dict[str, Arrays]:
        """What was learnt since last asked, by part; parts that learnt nothing are left out."""
        told = {"ordering": self.ordering.take_delta(), "click": self.ranker.take_delta()}
        if told["click"] and self.calibrates:
            told["calibration"] = self.calibration.arrays()
        return {named(part, self.version): arrays for part, arrays in told.items() if arrays}

    def merge(self, learners: Mapping[str, Arrays], *, labelled_here: bool) -> str:
        """Take in what another process told of this version; returns the part that would do harm, empty when none.

        Args:
            labelled_here: this process sees labels of its own, and calibrates by those.
        """
        if not self.learning:
            return ""
        ordering, click, calibration = (learners.get(named(part, self.version)) for part in _PARTS)
        if calibration is not None and self.calibrates and not labelled_here:
            self.calibration.load(calibration)
        if ordering is not None and not self.ordering.merge(ordering):
            return named("ordering", self.version)
        return "" if click is None or self.ranker.merge(click) else named("click", self.version)

    def components(self) -> dict[str, Arrays]:
        """All that is learnt, by component of a snapshot."""
        arrays = (self.ordering.arrays(), self.ranker.arrays(), self.calibration.arrays())
        return {named(part, self.version): a for part, a in zip(_PARTS, arrays, strict=True)}

    def load(self, components: Mapping[str, Arrays]) -> bool:
        """Restore what :meth:`components` gave; False, and nothing is changed, when it does not hold this version."""
        of = [components.get(named(part, self.version)) for part in _PARTS]
        if any(arrays is None for arrays in of):
            return False
        ordering, click, calibration = (arrays or {} for arrays in of)
        try:
            self.ordering.load(ordering)
        except ValueError:  # of another shape
            return False
        self.ranker.load(click)
        self.calibration.load(calibration)
        return True

    def begin_as(self, other: Heads) -> None:
        """Begin with another version's weights, where the shapes are the same."""
        parts = {
            named(part, self.version): a for part, a in zip(_PARTS, other.components().values(), strict=True)
        }
        if self.load(parts):
            for head in (self.ordering, self.ranker):
                head.take_delta()  # what the other has not told yet is not this one's to tell


def challenger(
    version: str, recipe: Recipe, like: Heads, *, schema: FeatureSchema, floor: Mapping[str, float],
    surfaces: Sequence[str], seed: int,
) -> Heads:  # fmt: skip
    """A version of its own beside ``like``, which it resembles in all that its recipe leaves open."""
    given = {
        name: getattr(recipe, name)
        for name in ("rate", "deep_rate", "hidden", "half_life")
        if getattr(recipe, name) is not None
    }
    ordering = OrderingHead(schema, floor=floor, seed=seed, **{"hidden": like.ordering.hidden, **given})
    clicks: dict[str, Any] = {} if recipe.alpha is None else {"alpha": recipe.alpha}
    if recipe.click_half_life_ms is not None:
        clicks["half_life_ms"] = recipe.click_half_life_ms
    old = like.ranker
    ranker = ClickRanker(old.features, surfaces=surfaces, negative_rate=old.negative_rate, **clicks)
    made = Heads(version, ordering, ranker, Calibration())
    if recipe.warm:
        made.begin_as(like)
    return made


def named(part: str, version: str) -> str:
    """What a part of a version is called in deltas and snapshots.

    >>> named("click", "base"), named("click", "v2")
    ('click', 'click@v2')
    """
    return part if version == BASE else f"{part}@{version}"
