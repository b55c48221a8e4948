"""The log as arrays for one target policy: ratios of probabilities, clicks, and where the target would look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from evaluation.ope.draws import Draws, Marginals, redrawn
from evaluation.ope.looks import Looks
from evaluation.ope.records import Floats, Indices, LoggedSlate
from evaluation.ope.targets import logging_policy
from online_models.bandit import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """``n`` slates of at most ``K`` slots; shorter ones are filled up with slots of ratio 1 and no click.

    Attributes:
        user: int[n].
        clicks: float64[n, K].
        item: int[n, K], -1 where there is no slot.
        ratio: float64[n, K], *conditional* target over logging probability.
        marginal: float64[n, K], the same of the *marginal* probabilities.
        slate: float64[n], pseudo-inverse weights.
        exact: whether ``marginal`` and ``slate`` are; else they are made of the conditional ratios.
        outside: the target's mass on what the logging policy could not draw.
        looks: the target's conditional distribution in every slot.
        items: how many different ones there are.
    """

    user: Indices
    clicks: Floats
    item: Indices
    ratio: Floats
    marginal: Floats
    slate: Floats
    exact: bool
    outside: float
    looks: Looks
    items: int


def sample_of(slates: Sequence[LoggedSlate], target: Policy, logged_by: Policy | None = None) -> Sample:
    """The arrays of some slates.

    Args:
        logged_by: the logging policy, where the log does not name it in full; it is checked against the propensities.
    """
    if not slates:
        raise ValueError("there must be at least one slate")
    slots = max(len(slate.chosen) for slate in slates)
    number = _numbers(item for slate in slates for item in slate.candidates)
    named = cache(logging_policy)
    by = [logged_by or named(slate.policy) for slate in slates]
    draws = [redrawn(slate, target, policy) for slate, policy in zip(slates, by, strict=True)]
    ratio = _filled([draw.ratio for draw in draws], slots, 1.0)
    exact = all(draw.known for draw in draws)
    marginal, whole = _exact(slates, by, target, slots) if exact else (ratio, 1.0 + (ratio - 1.0).sum(axis=1))
    return Sample(
        user=_codes([slate.user_id for slate in slates]),
        clicks=_filled([np.array(slate.clicks, np.float64) for slate in slates], slots, 0.0),
        item=_filled([_items(slate, number) for slate in slates], slots, -1).astype(np.intp),
        ratio=ratio, marginal=marginal, slate=whole, exact=exact,
        outside=float(np.mean([draw.outside for draw in draws])),
        looks=_looks(slates, draws, slots, number), items=len(number),
    )  # fmt: skip


def _exact(
    slates: Sequence[LoggedSlate], by: Sequence[Policy | None], target: Policy, slots: int
) -> tuple[Floats, Floats]:
    table = Marginals(target)
    found = [table.of(slate, policy) for slate, policy in zip(slates, by, strict=True) if policy is not None]
    return _filled([ratio for ratio, _ in found], slots, 1.0), np.array([whole for _, whole in found])


def _looks(slates: Sequence[LoggedSlate], draws: list[Draws], slots: int, number: dict[str, int]) -> Looks:
    rows: list[int] = []
    items: list[Indices] = []
    for at, slate in enumerate(slates):
        names = np.array([number[item] for item in slate.candidates], np.intp)
        rows += range(at * slots, at * slots + len(slate.chosen))
        items += [names[able] for able in slate.eligible]
    return Looks.of((len(slates), slots), rows, items, [p for draw in draws for p in draw.chances])


def _numbers(names: Iterable[str]) -> dict[str, int]:
    return {name: k for k, name in enumerate(dict.fromkeys(names))}


def _codes(names: list[str]) -> Indices:
    known = _numbers(names)
    return np.array([known[name] for name in names], np.intp)


def _items(slate: LoggedSlate, number: dict[str, int]) -> Floats:
    return np.array([number[slate.candidates[k]] for k in slate.chosen], np.float64)


def _filled(rows: Sequence[Floats], slots: int, empty: float) -> Floats:
    out = np.full((len(rows), slots), empty)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return out
