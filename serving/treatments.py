"""What holds for one user's request: the surface's policy with the overrides of the experiments the user is in.

Assignments are hashes, so nothing is stored; what was worked out is kept until an experiment begins or ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.history import UserRecord
from online_models.interning import Interner
from online_models.objective_weights import Weights
from serving.experiments import Assignment, Experiments
from serving.filters import Asked, Mask
from serving.types import SlateRequest, SurfacePolicy

OF_SURFACE = frozenset(field.name for field in fields(SurfacePolicy))
GLOBAL_HOLDOUT = "holdout:global"
TIERS = "tiers"
"""The layer that results of tiers go by: ``tiers:NAME/on``, and ``off`` for users whose variant switches tiers off."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one request is answered.

    Attributes:
        label: the variants, as exposures carry them; empty when the user is in none.
        n: items of a slate where the request does not say; None is the deployment's number.
        candidates: ranked at most; None is the deployment's number.
        exploring: False switches exploration off for these users.
        model: the version whose heads answer; empty for the one that is live.
        without: families of sources that are not asked.
        paused: the user is in an experiment that is paused: answered as its control is, and in no variant.
    """

    surface: SurfacePolicy
    label: str = ""
    n: int | None = None
    candidates: int | None = None
    exploring: bool = True
    model: str = ""
    without: tuple[str, ...] = ()
    paused: bool = False


class Treatments:
    """Treatments by user and surface.

    Args:
        surfaces: policies by surface; one that is unknown is treated as the first.
        experiments: what is declared; None is nothing.
        most: assignments kept, at least 1.

    >>> treatments = Treatments({"home": SurfacePolicy()})
    >>> treatments.of("alice", "home", now=0).label
    ''
    """

    def __init__(
        self, surfaces: Mapping[str, SurfacePolicy], experiments: Experiments | None = None, *,
        most: int = 50_000,
    ) -> None:  # fmt: skip
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")
        self.surfaces, self.most = surfaces, most
        self._declared = surfaces
        self.actions: Collection[str] = ()  # that have a head
        self.experiments = experiments
        self._known: dict[tuple[str, str, str], Treatment] = {}
        self._span = (0, 0)
        self._paused_until = 0
        self._plain = Treatment(next(iter(surfaces.values())))  # the latest that was asked for

    def pause(self, until: int) -> None:
        """Experiments are paused until a moment, ms since the epoch; 0 lets them go on."""
        if until != self._paused_until:
            self._paused_until = until
            self._known, self._span = {}, (0, 0)

    def declare(self, experiments: Experiments | None) -> None:
        """Other experiments hold from now on."""
        self.experiments = experiments
        self._known, self._span = {}, (0, 0)

    def weigh(self, weights: Mapping[str, Weights]) -> None:
        """What some surfaces are ordered for from now on; of all others what was declared."""
        self.surfaces = {
            name: replace(policy, objectives=weights.get(name, policy.objectives))
            for name, policy in self._declared.items()
        }
        self._known = {}

    def surface(self, name: str) -> SurfacePolicy:
        """How slates of a surface are made for who is in no experiment."""
        return self.surfaces.get(name) or next(iter(self.surfaces.values()))

    def tier(self, request: SlateRequest, record: UserRecord | None) -> str:
        """Which tier a request is in: the first that fits; empty where none is declared or fits."""
        tiers = self.experiments.plan.tiers if self.experiments is not None else {}
        if not tiers:
            return ""
        counts, group = (record.counts, record.group) if record is not None else ({}, "")
        for name, tier in tiers.items():
            if tier.surfaces and request.surface not in tier.surfaces:
                continue
            if tier.who.fits(counts, group, request.context):
                return name
        return ""

    def of(self, user_id: str, surface: str, now: int, tier: str = "") -> Treatment:
        """What holds for a user on a surface, in a tier, at a moment, ms since the epoch."""
        if self.experiments is None:
            return self._plainly(self.surface(surface))
        if not self._span[0] <= now < self._span[1] or len(self._known) >= self.most:
            self._known, self._span = {}, self._span_of(self.experiments, now)
        key = (user_id, surface, tier)
        known = self._known.get(key)
        if known is None:
            paused = now < self._paused_until
            assigned = self.experiments.assign(user_id, surface, now, paused=paused)
            known = self._treatment(assigned, surface, tier)
            if paused:  # what is served meanwhile counts for no variant, nor for the holdout
                known = replace(known, label="", paused=bool(assigned.variants))
            self._known[key] = known
        return known

    def _plainly(self, policy: SurfacePolicy) -> Treatment:
        """What holds for everybody on a surface while there are no experiments."""
        if self._plain.surface is not policy:
            self._plain = Treatment(policy)
        return self._plain

    def _span_of(self, experiments: Experiments, now: int) -> tuple[int, int]:
        """From when to when nothing begins or ends, a pause included."""
        first, last = _span(experiments, now)
        paused_until = self._paused_until
        return (first, min(last, paused_until)) if now < paused_until else (max(first, paused_until), last)

    def _treatment(self, assigned: Assignment, surface: str, tier: str) -> Treatment:
        """What a variant overrides comes before what the tier does."""
        overrides = {**self._of_tier(assigned, tier), **assigned.overrides}
        of_surface = {name: value for name, value in overrides.items() if name in OF_SURFACE}
        if "objectives" in of_surface:
            of_surface["objectives"] = Weights.lenient(of_surface["objectives"], self.actions)
        return Treatment(
            replace(self.surface(surface), **of_surface),
            self._label(assigned, tier),
            n=overrides.get("recommend_n"),
            candidates=overrides.get("candidates"),
            exploring=bool(overrides.get("exploration", True)),
            model=assigned.own_model or str(overrides.get("model_version", "")),
            without=tuple(overrides.get("without", ())),
        )

    def _of_tier(self, assigned: Assignment, tier: str) -> Mapping[str, Any]:
        tiers = self.experiments.plan.tiers if self.experiments is not None else {}
        return tiers[tier].overrides if tier in tiers and assigned.tiered else {}

    def _label(self, assigned: Assignment, tier: str) -> str:
        told = [assigned.label]
        if tier:  # both sides of a comparison name the segment, so that it can be made in each
            told.append(f"{TIERS}:{tier}/{'on' if assigned.tiered else 'off'}")
        if self.experiments is not None and self.experiments.plan.holdout:
            told.append(f"{GLOBAL_HOLDOUT}/{'held_out' if assigned.held_out else 'open'}")
        return " ".join(word for word in told if word)


class HeldOutItemsFilter:
    """Items in the item holdout: not recommended, to see what they earn by themselves."""

    name = "held_out"

    def __init__(self, treatments: Treatments, interner: Interner) -> None:
        self._treatments, self._interner = treatments, interner
        self._of: Experiments | None = None
        self._out: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._nameless: list[int] = []  # another process gave them a number, their names are to come

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`serving.filters.Filter`."""
        declared = self._treatments.experiments
        if declared is None or not declared.plan.item_holdout:
            return None
        self._learn(declared)
        known = np.minimum(ids, len(self._out) - 1)
        return ~self._out[known]

    def _learn(self, declared: Experiments) -> None:
        """Items that were named since last asked; ids are dense, so one array holds them all."""
        if self._of is not declared:
            self._of, self._out, self._nameless = declared, np.zeros(0, dtype=np.bool_), []
        new = range(len(self._out), len(self._interner))
        if not (new or self._nameless):
            return
        self._out = np.concatenate([self._out, np.zeros(len(new), dtype=np.bool_)])
        asked, self._nameless = [*self._nameless, *new], []
        for number in asked:
            name = self._interner.name(number)
            if name:
                self._out[number] = declared.item_held_out(name)
            else:
                self._nameless.append(number)


def _span(experiments: Experiments, now: int) -> tuple[int, int]:
    """From when to when the same experiments run."""
    edges = [
        int(at.timestamp() * 1_000)
        for _, _, experiment in experiments.plan.experiments()
        for at in (experiment.start, experiment.end)
    ]
    before = max((at for at in edges if at <= now), default=0)
    return before, min((at for at in edges if at > now), default=1 << 62)
