"""Who is in which experiment: by hashes alone, so that every process says the same and nothing is stored.

declared = load(Path("experiments.yml"))
mine = declared.assign("alice", "home", now)       # mine.variants, mine.overrides
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from online_models.chance import stable_hash
from online_models.errors import SettingsError
from online_models.heads import OwnWeights
from serving.experiment_plan import OWN, Experiment, Plan

Check = Callable[[Mapping[str, Any]], None]


def own_version(label: str) -> str:
    """What the weights of a variant are called, unlike any version of the registry.

    >>> own_version("ranking:e/two")
    '~two.66c20e22'
    """
    variant = label.rpartition("/")[2][:16]
    return f"~{variant}.{blake2b(label.encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What holds for one request.

    Attributes:
        variants: layer to ``experiment/variant``; a layer in which the user is in no experiment is left out.
        overrides: of all variants together; no two set the same.
        held_out: the user is in the global holdout.
        own_weights: the variants that learn from their own users alone.
    """

    variants: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    held_out: bool = False
    own_weights: tuple[str, ...] = ()

    @property
    def tiered(self) -> bool:
        """Whether tiers hold for this user; a variant may switch them off, to be compared with."""
        return bool(self.overrides.get("tiers", True))

    @property
    def own_model(self) -> str:
        """The weights that answer, of the variant that learns from its own users; empty for none."""
        mine = (f"{layer}:{of}" for layer, of in self.variants.items() if of in self.own_weights)
        return next((own_version(label) for label in mine), "")

    @property
    def label(self) -> str:
        """All variants in one word, as an exposure carries it.

        >>> Assignment({"ranking": "diverse/control"}).label
        'ranking:diverse/control'
        """
        return " ".join(f"{layer}:{variant}" for layer, variant in self.variants.items())


class Experiments:
    """What is declared, and who is in it.

    >>> text = "layers: {ranking: {experiments: {e: {start: 1970-01-01T00:00:00Z, end: 1970-01-02T00:00:00Z,"
    >>> declared = parse(text + " traffic: 1, variants: {a: {}, b: {overrides: {diversity: 0.3}}}}}}}")
    >>> declared.assign("alice", "home", now=0).variants
    {'ranking': 'e/a'}
    >>> declared.assign("alice", "home", now=86_400_000).variants
    {}
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def assign(self, user_id: str, surface: str, now: int, *, paused: bool = False) -> Assignment:
        """The variants of a user on a surface at a moment (ms since the epoch), and all they override.

        Args:
            paused: every user of an experiment gets its control.
        """
        if self.held_out(user_id):
            return Assignment(held_out=True)
        variants, own = {}, []
        overrides: dict[str, Any] = {}
        for layer in self.plan.layers:
            name = self._experiment(layer, user_id, surface, now)
            if name is None:
                continue
            experiment = self.plan.layers[layer].experiments[name]
            variant = next(iter(experiment.shares)) if paused else self._variant(name, experiment, user_id)
            variants[layer] = f"{name}/{variant}"
            overrides |= experiment.variants[variant].overrides
            own += [variants[layer]] if experiment.learning == OWN else []
        return Assignment(variants, overrides, False, tuple(own))

    def own(self) -> dict[str, OwnWeights]:
        """The weights that variants learn by themselves, by name."""
        labelled = {
            f"{layer}:{name}/{variant}": of.overrides.get("recipe", {})
            for layer, name, experiment in self.plan.experiments()
            for variant, of in experiment.variants.items()
            if experiment.learning == OWN
        }
        return {own_version(label): OwnWeights(label, recipe) for label, recipe in labelled.items()}

    def held_out(self, user_id: str) -> bool:
        """Whether a user is in the global holdout: in no experiment at any time."""
        return _point("holdout", self.plan.salt, user_id) < self.plan.holdout

    def item_held_out(self, item_id: str) -> bool:
        """Whether an item is in the item holdout: not recommended, to see what it earns without."""
        return _point("item holdout", self.plan.salt, item_id) < self.plan.item_holdout

    def _experiment(self, layer: str, user_id: str, surface: str, now: int) -> str | None:
        of = self.plan.layers[layer]
        point = _point("layer", self.plan.salt, of.salt or layer, user_id)
        for name, experiment in of.experiments.items():
            inside = experiment.offset <= point < experiment.offset + experiment.traffic
            if inside and _runs(experiment, surface, now):
                return name
        return None

    def _variant(self, name: str, experiment: Experiment, user_id: str) -> str:
        point = _point("variant", self.plan.salt, experiment.salt or name, user_id)
        *first, last = experiment.shares.items()
        for variant, share in first:
            if point < share:
                return variant
            point -= share
        return last[0]


def load(path: Path, check: Check | None = None) -> Experiments:
    """The experiments of a file.

    Args:
        check: told of every variant's overrides; a ``ValueError`` of its refuses them.

    Raises:
        SettingsError: the file is no YAML, or does not hold as a whole; the text says where and why.
    """
    return parse(path.read_text(encoding="utf-8"), check, name=path.name)


def parse(text: str, check: Check | None = None, *, name: str = "experiments") -> Experiments:
    """The experiments of a text; see :func:`load`."""
    try:
        plan = Plan.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise SettingsError(f"{name}: not YAML: {error}") from error
    except ValidationError as error:
        told = [f"{name}: {_where(e['loc'])}{e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise SettingsError("\n".join(told)) from error
    for where, overrides in plan.overrides() if check else ():
        try:
            check(overrides) if check else None
        except ValueError as error:
            raise SettingsError(f"{name}: {where}: {error}") from error
    return Experiments(plan)


def _runs(experiment: Experiment, surface: str, now: int) -> bool:
    here = not experiment.surfaces or surface in experiment.surfaces
    return here and experiment.start.timestamp() * 1_000 <= now < experiment.end.timestamp() * 1_000


def _point(*parts: str) -> float:
    """A place in [0, 1), the same in every process."""
    return stable_hash(*parts) / 2.0**63


def _where(loc: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(part) for part in loc)}: " if loc else ""
