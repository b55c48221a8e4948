"""The same world twice, with exploration and without: does a bubble form, and what does it cost not to have one?"""

from __future__ import annotations

from typing import Any

from evaluation.in_process import ACTIONS, InProcess
from evaluation.simulation import RATE_PER_S, START_MS, WORLD
from evaluation.simulator import World, WorldConfig
from evaluation.spread import SpreadBoard
from evaluation.traffic import Plan, Slate, Traffic
from online_models.fold_policy import FoldPolicy
from online_models.learner import Unlimited
from serving.assembly import assemble
from serving.types import SurfacePolicy

ARMS: dict[str, SurfacePolicy | None] = {
    "exploring": SurfacePolicy(),
    "not exploring": None,
    "exploring more": SurfacePolicy(randomised_share=0.2, uniform_floor=0.3, new_item_share=0.5),
}
"""How slates are made; None is the kill switch."""
N = 10


def run(
    seed: int = 0, visits: int = 9_000, windows: int = 18, *, described: bool = True, **world: Any
) -> dict[str, Any]:
    """Spread over time of all arms, by name of the arm.

    Args:
        described: whether the catalogue holds titles and tags; without, only who acted on what is known of items.
        world: further arguments of :class:`evaluation.world.WorldConfig`.

    >>> told = run(visits=100, windows=2, users=10, items=30, new_items=0)
    >>> {arm: len(windows) for arm, windows in told["arms"].items()}
    {'exploring': 2, 'not exploring': 2, 'exploring more': 2}
    """
    given: dict[str, Any] = {**WORLD, **world}
    config = WorldConfig(seed=seed, start_ms=START_MS, **given)
    arms = {
        name: spread(config, visits, windows, surface=surface, described=described)
        for name, surface in ARMS.items()
    }
    return {"seed": seed, "visits": visits, "described": described, "world": given, "arms": arms}


def spread(
    config: WorldConfig, visits: int, windows: int, *, surface: SurfacePolicy | None, described: bool = True
) -> list[dict[str, Any]]:
    """One pass of a world through the pipeline of a deployment; ``surface`` None switches exploration off."""
    world = World(config)
    # a tenth more, since visits are drawn: those beyond are not told
    traffic = Traffic(world, Plan(RATE_PER_S, 1.1 * visits / RATE_PER_S, N))
    exploring = surface is not None
    parts = assemble({"default": surface or SurfacePolicy()}, seed=config.seed, exploring=exploring)
    parts.learner.order_budget = Unlimited()
    pipeline = InProcess(parts, FoldPolicy(actions=ACTIONS), n=N)
    board = SpreadBoard(world, visits=visits, windows=windows)
    for happening in traffic:
        if happening.item is not None:
            left_out = () if described else ("title", "tags")
            pipeline.item({k: v for k, v in happening.item.items() if k not in left_out}, happening.ts)
        elif happening.event is not None:
            pipeline.event(happening.event)
        elif happening.visit is not None:
            user, now = happening.visit, happening.ts
            slate = pipeline.slate(user, now, n=N)
            shown = [item.item_id for item in slate.items]
            traffic.show(user, Slate(shown, slate.request_id), now)
            board.add(user, shown, now)
            if len(board.windows) == windows:
                break
    return board.windows
