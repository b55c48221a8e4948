"""What a variant of an experiment may override, checked against the settings themselves."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from online_models.heads import Recipe
from online_models.model import FAMILIES
from online_models.objective_weights import CLICK, Weights
from streams.settings import Settings, SurfaceSettings

BESIDE_SURFACES = frozenset(
    {"recommend_n", "candidates", "exploration", "model_version", "without", "tiers", "recipe"}
)
"""What a variant may override beside the settings of a surface."""
_RANGES = {"recommend_n": (1, 500), "candidates": (10, 5_000)}


def known_override(overrides: Mapping[str, Any]) -> None:
    """Refuse what is no setting of a surface, or a value it cannot have.

    >>> known_override({"diversity": 0.3, "model_version": "v2"})
    >>> known_override({"diversty": 0.3})
    Traceback (most recent call last):
    ...
    ValueError: no setting is called 'diversty'; did you mean 'diversity'?
    """
    known = {*SurfaceSettings.model_fields, *BESIDE_SURFACES}
    for name in overrides:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise ValueError(f"no setting is called {name!r}; {hint}")
    _check_beside(overrides)
    try:
        SurfaceSettings(**{k: v for k, v in overrides.items() if k in SurfaceSettings.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def check_for(settings: Settings) -> Callable[[Mapping[str, Any]], None]:
    """The same, and that weights name actions which have a head in this deployment."""
    actions = {CLICK, *settings.objective_actions()}

    def check(overrides: Mapping[str, Any]) -> None:
        known_override(overrides)
        if "objectives" in overrides:
            try:
                Weights.parse(overrides["objectives"], actions)
            except ValueError as error:
                raise ValueError(f"objectives: {error}") from error

    return check


def _check_beside(overrides: Mapping[str, Any]) -> None:
    for name, (low, high) in _RANGES.items():
        value = overrides.get(name, low)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name}: a whole number from {low} to {high}, not {value!r}")
    for name in ("exploration", "tiers"):
        if not isinstance(overrides.get(name, True), bool):
            raise ValueError(f"{name}: true or false, not {overrides[name]!r}")
    without = overrides.get("without", [])
    if not isinstance(without, list) or not set(without) < set(FAMILIES):
        raise ValueError(f"without: some of {', '.join(FAMILIES)}, not all, not {without!r}")
    recipe = overrides.get("recipe", {})
    if not isinstance(recipe, dict):
        raise ValueError(f"recipe: names and numbers, not {recipe!r}")
    Recipe.of(recipe)
    if not isinstance(overrides.get("model_version", ""), str):
        raise ValueError(f"model_version: the name of a version, not {overrides['model_version']!r}")
