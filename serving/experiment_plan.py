"""Experiments as they are declared, in one YAML that is validated as a whole before any of it holds.

salt: shop
holdout: 0.02            # users who are in no experiment, ever
item_holdout: 0.01       # items that are not recommended: what they earn by themselves
layers:
  ranking:
    experiments:
      diverse-home:
        start: 2026-01-05T00:00:00Z
        end: 2026-01-19T00:00:00Z
        traffic: 0.2     # share of the layer's users, from offset on
        surfaces: [home]
        variants:
          control: {}
          diverse: {overrides: {diversity: 0.3}}
        metrics: [click_rate]
        guardrails: [{metric: latency_p99_ms, worse_by: 0.1}]
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Surface = Annotated[str, Field(min_length=1, max_length=64)]
Metric = Literal["click_rate", "conversion_rate", "log_loss", "latency_p99_ms", "error_share", "empty_share"]
_NEAR = 1e-9
MOST_OWN = 6
"""Variants with weights of their own at once: each costs memory and a part of every event's time."""
OWN = "own"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variant(_Strict):
    """What some of an experiment's users get; ``share`` is of the experiment, by default the same for all."""

    share: Share | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)


class Guardrail(_Strict):
    """The experiment is to end when a metric is worse than the control's by more than this share of it."""

    metric: Metric
    worse_by: Annotated[float, Field(gt=0.0, le=10.0)]


class Experiment(_Strict):
    """One question; the first variant is the control.

    ``learning``: ``shared`` weights for what differs at serving time only; with ``own`` each variant, the control too,
    has weights that learn from its own users alone, and may override the ``recipe`` they learn by.
    An empty list of surfaces is all of them. ``effect`` is the difference planned for, in clicks an impression.
    """

    start: AwareDatetime
    end: AwareDatetime
    traffic: Annotated[float, Field(gt=0.0, le=1.0)]
    offset: Share = 0.0
    salt: str = ""
    surfaces: tuple[Surface, ...] = ()
    variants: Annotated[dict[Name, Variant], Field(min_length=2)]
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)] = ("click_rate",)
    guardrails: tuple[Guardrail, ...] = ()
    learning: Literal["shared", "own"] = "shared"
    effect: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.005

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must be after start")
        if self.offset + self.traffic > 1.0 + _NEAR:
            raise ValueError(
                f"offset and traffic must add up to at most 1, not {self.offset + self.traffic:g}"
            )
        given = [variant.share for variant in self.variants.values()]
        shares = [share for share in given if share is not None]
        if shares and (len(shares) < len(given) or abs(sum(shares) - 1.0) > _NEAR):
            raise ValueError(f"shares of variants must be given for all and add up to 1, not {sum(shares):g}")
        self._check_learning()
        return self

    def _check_learning(self) -> None:
        named = {name for variant in self.variants.values() for name in variant.overrides}
        if self.learning != OWN and "recipe" in named:
            raise ValueError("a recipe is overridden where variants have weights of their own: learning: own")
        if self.learning == OWN and "model_version" in named:
            raise ValueError(
                "with learning: own no variant may name a model_version: it has weights of its own"
            )

    @property
    def shares(self) -> dict[str, float]:
        """The share of the experiment's users that each variant gets."""
        equal = 1.0 / len(self.variants)
        return {name: equal if v.share is None else v.share for name, v in self.variants.items()}

    @property
    def touched(self) -> frozenset[str]:
        """Every setting that a variant overrides; weights of its own stand in for a version of the model."""
        names = frozenset(name for variant in self.variants.values() for name in variant.overrides)
        return names | {"model_version"} if self.learning == OWN else names

    def meets(self, other: Experiment) -> bool:
        """Whether both run at some moment on some surface."""
        together = self.start < other.end and other.start < self.end
        shared = not self.surfaces or not other.surfaces or set(self.surfaces) & set(other.surfaces)
        return together and bool(shared)

    def overlaps(self, other: Experiment) -> bool:
        """Whether some users of a layer would be in both."""
        begin, end = self.offset, self.offset + self.traffic
        apart = end <= other.offset + _NEAR or other.offset + other.traffic <= begin + _NEAR
        return self.meets(other) and not apart


class Layer(_Strict):
    """Experiments that exclude each other; users are drawn anew in every layer."""

    salt: str = ""
    experiments: dict[Name, Experiment] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        for (a, first), (b, second) in combinations(self.experiments.items(), 2):
            if first.overlaps(second):
                end = first.offset + first.traffic
                raise ValueError(
                    f"experiments {a!r} and {b!r} share users, time and a surface, which one layer forbids: give "
                    f"{b!r} an offset of {end:g}, other times or surfaces, or a layer of its own"
                )
        return self


class Who(_Strict):
    """Which requests are meant; all that is given must hold, and nothing given is everybody.

    ``actions``: at least so many of each, ever. ``groups``: one of those ``identify`` events name. ``context``: what
    the request itself says.
    """

    actions: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    groups: tuple[str, ...] = ()
    context: dict[str, str | int | float | bool] = Field(default_factory=dict)

    def fits(self, counts: Mapping[str, int], group: str, context: Mapping[str, Any]) -> bool:
        """Whether a request of this user is meant.

        >>> Who(actions={"purchase": 1}).fits({"purchase": 2}, "", {}), Who(context={"plan": "pro"}).fits({}, "", {})
        (True, False)
        """
        enough = all(counts.get(action, 0) >= n for action, n in self.actions.items())
        said = all(context.get(name) == value for name, value in self.context.items())
        return enough and said and (not self.groups or group in self.groups)


class Tier(_Strict):
    """What some requests may cost: who, and with which settings they are answered."""

    who: Who = Field(default_factory=Who)
    surfaces: tuple[Surface, ...] = ()
    overrides: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_everybody(self) -> bool:
        """Whether no request is left for a tier after this one."""
        return not self.surfaces and self.who == Who()


class Plan(_Strict):
    """All that is declared; of the tiers the first that fits holds."""

    salt: str = "freshet"
    holdout: Share = 0.0
    item_holdout: Share = 0.0
    layers: dict[Name, Layer] = Field(default_factory=dict)
    tiers: dict[Name, Tier] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        for (name, tier), (after, _) in pairwise(self.tiers.items()):
            if tier.is_everybody:
                raise ValueError(
                    f"tier {name!r} is for everybody, so {after!r} after it holds for nobody: say who"
                )
        if "tiers" in self.layers:
            raise ValueError("no layer may be called tiers: results of tiers go by that name")
        return self

    @model_validator(mode="after")
    def _independent(self) -> Self:
        named: dict[str, str] = {}
        for layer, name, _ in self.experiments():
            if name in named:
                raise ValueError(
                    f"experiment {name!r} is in the layers {named[name]!r} and {layer!r}: rename one"
                )
            named[name] = layer
        own = sum(len(e.variants) for _, _, e in self.experiments() if e.learning == OWN)
        if own > MOST_OWN:
            raise ValueError(f"{own} variants learn by themselves, at most {MOST_OWN} may: share weights")
        for (in_a, a, first), (in_b, b, second) in combinations(self.experiments(), 2):
            both = first.touched & second.touched
            if in_a != in_b and both and first.meets(second):
                raise ValueError(
                    f"experiments {a!r} and {b!r} run together in two layers and both override "
                    f"{', '.join(sorted(both))}: put them into one layer"
                )
        return self

    def experiments(self) -> list[tuple[str, str, Experiment]]:
        """Layer, name and experiment, as declared."""
        return [(layer, name, e) for layer, of in self.layers.items() for name, e in of.experiments.items()]

    def overrides(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Where overrides stand and what they are."""
        return [
            (f"layers.{layer}.experiments.{name}.variants.{v}.overrides", variant.overrides)
            for layer, name, e in self.experiments()
            for v, variant in e.variants.items()
        ] + [(f"tiers.{name}.overrides", tier.overrides) for name, tier in self.tiers.items()]
