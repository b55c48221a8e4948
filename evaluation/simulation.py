"""freshet in the simulated world, where the truth is known: click rates, regret, recovery, new items, calibration.

Slates go through the pipeline of a deployment (:mod:`evaluation.in_process`); click rates are the expected ones by the
world's truth. Recovery is told for a shift of tastes early and one late in the stream, as learning must not slow down.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.closed import ClosedSlots, calibration, normalised_entropy
from evaluation.in_process import ACTIONS, InProcess
from evaluation.plots import check_plot, plot_lines
from evaluation.scoreboard import ARMS
from evaluation.simulator import World, WorldConfig
from evaluation.traffic import Plan, Slate, Traffic
from online_models.fold_policy import FoldPolicy
from online_models.learner import Unlimited
from serving.assembly import assemble
from serving.types import SurfacePolicy

START_MS = 1_700_000_000_000
RATE_PER_S = 3.0
WORLD = {"users": 500, "items": 2_000, "new_items": 400, "new_item_every_ms": 8_000}
"""A catalogue that is not used up within the hour that 10,000 visits take."""
MINUTE = {"visits": 1_800, "rate_per_s": 30.0, "window_ms": 15_000}
"""A new deployment as ``freshet demo`` begins it."""
BURN_IN = 0.2
"""Share of the stream before which calibration is not judged: nothing is known yet."""
WINDOWS = 20
BY_CLICKS = (0, 1, 2, 3, 5, 10, 20)
OWN_VISITS = (1, 3, 6, 11, 21)
"""A user's own visits after a shift of taste, in groups that begin at these."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A slate of the policy, its expected click rate beside others' at that moment, and who saw it."""

    ts: int
    rates: tuple[float, ...]  # in order of ARMS
    clicks: int  # items the user had acted on before
    moved: bool  # whether the user's taste is among those that shift
    new: int  # slots given to items that arrived after the start
    user: str = ""


@dataclass(slots=True)
class Simulated:
    """What one pass left behind."""

    world: World
    visits: list[Visit]
    slots: ClosedSlots
    pipeline: InProcess


def simulate(
    config: WorldConfig, visits: int, *, rate_per_s: float = RATE_PER_S, n: int = 10, window_ms: int = 60_000
) -> Simulated:
    """About so many visits of a world, each answered by the pipeline.

    Late clicks after the last visit are waited for.

    Args:
        window_ms: an impression without a click for so long is a negative.
    """
    world = World(config)
    traffic = Traffic(world, Plan(rate_per_s, visits / rate_per_s, n))
    parts = assemble({"default": SurfacePolicy()}, seed=config.seed)
    parts.learner.order_budget = Unlimited()
    slots = ClosedSlots(parts.watch, parts.learner.schema)
    parts.learner.watch = slots
    pipeline = InProcess(parts, FoldPolicy(actions=ACTIONS, window_ms=window_ms))
    seen = list(_visits(traffic, pipeline, n))
    pipeline.tick(traffic.end_ms + 86_400_000)
    return Simulated(world, seen, slots, pipeline)


def _visits(traffic: Traffic, pipeline: InProcess, n: int) -> Iterator[Visit]:
    world, moved = traffic.world, _moved(traffic.world)
    for happening in traffic:
        if happening.item is not None:
            pipeline.item(happening.item, happening.ts)
        elif happening.event is not None:
            pipeline.event(happening.event)
        elif happening.visit is not None:
            user, now = happening.visit, happening.ts
            before = len(traffic.acted[user])
            slate = pipeline.slate(user, now, n=n)
            items = [item.item_id for item in slate.items]
            traffic.show(user, Slate(items, slate.request_id), now)
            rates = tuple(traffic.board.last[arm] for arm in ARMS)
            yield Visit(now, rates, before, user in moved, sum(world.is_new(item) for item in items), user)


def _moved(world: World) -> set[str]:
    changed = (world.truth.tastes != world.truth.tastes_after).any(axis=1)
    return {user for user, is_moved in zip(world.user_ids, changed.tolist(), strict=True) if is_moved}


def run(
    *,
    seed: int = 0,
    visits: int = 10_000,
    plot: Path | None = None,
    rate_per_s: float = RATE_PER_S,
    **world: Any,
) -> dict[str, Any]:
    """All figures of one seed, as one object.

    Args:
        visits: of the longer of two passes, whose tastes shift at 60 %; those of the other at 20 % of it.
        world: further arguments of :class:`evaluation.world.WorldConfig`.

    Raises:
        ValueError: a world cannot be as it is asked for.
        PlotUnavailable: the plot could not be drawn.
    """
    check_plot(plot)
    span_ms = visits / rate_per_s * 1_000.0
    given: dict[str, Any] = {"seed": seed, "start_ms": START_MS, **WORLD, **world}
    late_ms, early_ms = round(0.6 * span_ms), round(0.2 * span_ms)
    late = simulate(WorldConfig(**given, shift_after_ms=late_ms), visits, rate_per_s=rate_per_s)
    early = simulate(WorldConfig(**given, shift_after_ms=early_ms), visits * 3 // 5, rate_per_s=rate_per_s)
    told = report(late, late_ms)
    told["new_deployment"] = new_deployment(seed)
    told["recovery"] = {
        "early": recovery(early.visits, START_MS + early_ms), "late": recovery(late.visits, START_MS + late_ms)
    }  # fmt: skip
    if plot is not None:
        lines = {arm: [w[f"ctr_{arm}"] for w in told["by_time"]] for arm in ARMS}
        plot_lines([w["until_s"] for w in told["by_time"]], lines, plot, "seconds", "expected click rate")
    return {"seed": seed, "world": asdict(late.world.config), **told}


def report(done: Simulated, shift_ms: int | None = None) -> dict[str, Any]:
    """The figures of one pass."""
    rows = done.slots.rows()
    begin = done.visits[0].ts if done.visits else START_MS
    end = done.visits[-1].ts if done.visits else START_MS
    since = begin + round(BURN_IN * (end - begin))
    before = [v for v in done.visits if shift_ms is None or v.ts < START_MS + shift_ms]
    return {
        "visits": len(done.visits),
        **_rates(done.visits),
        "before_shift": _rates(before),
        "by_time": by_time(done.visits),
        "by_clicks": by_clicks(done.visits),
        "new_items": _new_items(done),
        "calibration": {
            **calibration([r for r in rows if r.served >= since]),
            "overall_with_burn_in": calibration(rows)["overall"],
        },
        "normalised_entropy": normalised_entropy(rows, since),
    }


def new_deployment(seed: int) -> dict[str, Any]:
    """The first minute of a demo: its last 20 seconds, and users by their clicks so far."""
    done = simulate(WorldConfig(seed=seed, start_ms=START_MS), **MINUTE)  # type: ignore[arg-type]
    lately = [v for v in done.visits if v.ts - START_MS >= 40_000]
    return {"last_20_s": _rates(lately), "by_clicks": by_clicks(done.visits)}


def _rates(visits: Sequence[Visit]) -> dict[str, Any]:
    """``ctr_<arm>``, the regret, and how many times popularity's click rate the policy's is."""
    if not visits:
        return {}
    means = np.array([v.rates for v in visits]).mean(axis=0)
    told = {f"ctr_{arm}": float(mean) for arm, mean in zip(ARMS, means, strict=True)}
    told["regret"] = told["ctr_oracle"] - told["ctr_policy"]
    return {
        **told,
        "times_popular": told["ctr_policy"] / told["ctr_popular"] if told["ctr_popular"] else None,
    }


def by_time(visits: list[Visit], windows: int = WINDOWS) -> list[dict[str, Any]]:
    """The rates in windows of as many visits each."""
    parts = [visits[a:b] for a, b in _spans(len(visits), windows)]
    return [{"until_s": (p[-1].ts - visits[0].ts) / 1_000.0, "visits": len(p), **_rates(p)} for p in parts]


def _spans(n: int, parts: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, n, parts + 1).astype(int).tolist()
    return [(a, b) for a, b in pairwise(edges) if b > a]


def by_clicks(visits: list[Visit]) -> dict[str, Any]:
    """The rates by how many items the user had acted on before: 1 is a cold user after the first click."""
    out: dict[str, Any] = {}
    for low, high in zip(BY_CLICKS, (*BY_CLICKS[1:], 1 << 30), strict=True):
        held = [v for v in visits if low <= v.clicks < high]
        name = str(low) if high == low + 1 else f"{low}+" if high > 1_000 else f"{low}-{high - 1}"
        if held:
            out[name] = {"visits": len(held), **_rates(held)}
    return out


def _new_items(done: Simulated) -> dict[str, float]:
    """Share of slots given to items that arrived later, beside the share of them in the catalogue, both at the end."""
    lately = done.visits[-max(1, len(done.visits) // 5) :]
    there = done.world.candidates(lately[-1].ts) if lately else []
    slots = sum(v.new for v in done.visits)
    return {
        "share_of_exposure": slots / max(10 * len(done.visits), 1),
        "share_of_exposure_lately": sum(v.new for v in lately) / max(10 * len(lately), 1),
        "share_of_catalogue": sum(done.world.is_new(item) for item in there) / max(len(there), 1),
    }


def recovery(visits: list[Visit], shift: int, window: int = 200) -> dict[str, Any]:
    """How soon users whose tastes shifted are served as well as before, relative to the best slates.

    Args:
        shift: when tastes shifted, ms.
        window: visits of those users a mean is taken over.

    Returns:
        ``before`` and ``fell_to``, the policy's share of the oracle's click rate; and after how many of all visits half
        and nine tenths of what was lost is there again, None for never. ``by_own_visits`` is the same share by how many
        times the user has come since: nobody can know of a new taste before its user is seen with it.
    """
    moved = [(k, v) for k, v in enumerate(visits) if v.moved]
    share = np.array([v.rates[0] / v.rates[ARMS.index("oracle")] for _, v in moved])
    at = sum(v.ts < shift for _, v in moved)
    if at < window or len(share) - at < window:
        return {
            "before": None, "fell_to": None, "visits_to_half": None, "visits_to_90_percent": None,
            "by_own_visits": by_own_visits(visits, shift),
        }  # fmt: skip
    before, means = float(share[at - window : at].mean()), _means(share[at:], window)
    low = int(means.argmin())
    first = next(k for k, v in enumerate(visits) if v.ts >= shift)
    told: dict[str, Any] = {
        "before": before, "fell_to": float(means[low]), "by_own_visits": by_own_visits(visits, shift)
    }  # fmt: skip
    for name, part in (("half", 0.5), ("90_percent", 0.9)):
        back = np.flatnonzero(means[low:] >= means[low] + part * (before - means[low]))
        told[f"visits_to_{name}"] = (
            moved[at + low + int(back[0]) + window - 1][0] - first if len(back) else None
        )
    return told


def by_own_visits(visits: Sequence[Visit], shift: int) -> dict[str, Any]:
    """The policy's share of the oracle's click rate by how often a user whose taste shifted has come since.

    >>> came = [Visit(ts, (rate, 0.1, 0.1, 0.4), 9, True, 0, "a") for ts, rate in ((5, 0.1), (6, 0.1), (7, 0.2))]
    >>> by_own_visits(came, shift=5)
    {'1-2': {'visits': 2, 'share': 0.25}, '3-5': {'visits': 1, 'share': 0.5}}
    """
    came: dict[str, int] = {}
    groups: dict[str, list[float]] = {}
    for v in visits:
        if v.moved and v.ts >= shift:
            came[v.user] = came.get(v.user, 0) + 1
            groups.setdefault(_group(came[v.user]), []).append(v.rates[0] / v.rates[ARMS.index("oracle")])
    order = [_group(low) for low in OWN_VISITS]
    return {
        name: {"visits": len(groups[name]), "share": float(np.mean(groups[name]))}
        for name in order
        if name in groups
    }


def _group(n: int) -> str:
    at = bisect_right(OWN_VISITS, n)
    return f"{OWN_VISITS[at - 1]}-{OWN_VISITS[at] - 1}" if at < len(OWN_VISITS) else f"{OWN_VISITS[-1]}+"


def _means(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[window:] - sums[:-window]) / window, dtype=np.float64)
