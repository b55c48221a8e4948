"""Experiments that change learning: each variant has weights of its own, which learn from its own users alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from evaluation.in_process import InProcess
from online_models import deltas
from online_models.deltas import Delta
from online_models.errors import SettingsError
from online_models.heads import Heads
from online_models.labels import Kind, Labelled
from online_models.registry import Change, Registry
from online_models.state import Outcome
from serving.assembly import assemble
from serving.experiments import own_version, parse
from serving.types import SurfacePolicy
from streams.overrides import known_override
from tests.serving.world import World

ALWAYS = "start: 2000-01-01T00:00:00Z, end: 2100-01-01T00:00:00Z"
EXPERIMENT = f"""
layers:
  learn:
    experiments:
      pace:
        {{{ALWAYS}, traffic: 1, learning: own,
         variants: {{slow: {{}}, fast: {{overrides: {{recipe: {{alpha: 0.5}}}}}}}}}}
"""
SLOW, FAST = own_version("learn:pace/slow"), own_version("learn:pace/fast")
NOW = 1_700_000_000_000


def declared(world: World, text: str = EXPERIMENT) -> World:
    world.recommender.declare(parse(text, known_override))
    return world


def labels(world: World, variant: str, n: int = 40, seed: int = 1) -> Iterable[Labelled]:
    rng = np.random.default_rng(seed)
    for k in range(n):
        row = rng.normal(size=len(world.learner.features)).astype(np.float32)
        yield Labelled(
            k % 5, Kind(int(k % 4 == 0)), row, world.learner.schema, 0, "default", 0.1, 1.0, ts=NOW + k,
            variant=variant,
        )  # fmt: skip


def learnt(world: World, *variants: str) -> World:
    for variant in variants:
        world.learner.learn(Outcome(labelled=list(labels(world, variant))))
    return world


def same(a: Heads, b: Heads) -> bool:
    pairs = zip(a.components().values(), b.components().values(), strict=True)
    return all(np.array_equal(one[name], other[name]) for one, other in pairs for name in one)


def test_weights_of_a_variant_are_those_they_would_be_if_nobody_else_had_come() -> None:
    both = learnt(declared(World()), "learn:pace/slow", "learn:pace/fast", "")
    slow, untouched = learnt(declared(World()), "learn:pace/slow"), declared(World())
    assert same(both.learner.heads[SLOW], slow.learner.heads[SLOW])
    assert same(slow.learner.heads[FAST], untouched.learner.heads[FAST])
    assert both.learner.heads["base"].ranker.examples == 3 * slow.learner.heads["base"].ranker.examples


def test_a_recipe_is_the_variants_own() -> None:
    world = learnt(declared(World()), "learn:pace/slow", "learn:pace/fast")
    slow, fast = (world.learner.heads[name].ranker.optimizer for name in (SLOW, FAST))
    assert (slow.alpha, fast.alpha) == (world.learner.ranker.optimizer.alpha, 0.5)
    assert np.abs(fast.weights - slow.weights).max() > 0.01


def test_users_are_answered_by_the_weights_of_their_variant_and_teach_those() -> None:
    surface = SurfacePolicy(seen="none", randomised_share=0.0, swap_share=0.0, new_item_share=0.0)
    pipeline = InProcess(assemble({"default": surface}), n=4)
    pipeline.parts.recommender.declare(parse(EXPERIMENT, known_override))
    for k in range(6):
        pipeline.item({"item_id": f"i{k}"}, now=NOW)
        pipeline.event(
            {"type": "click", "event_id": f"s{k}", "user_id": f"s{k}", "ts": NOW, "item_id": f"i{k}"}
        )
    visits: dict[str, int] = {}
    for k in range(60):
        user, at = f"u{k % 20}", NOW + 2_000 * k
        slate = pipeline.slate(user, at)
        version = slate.model_version.split("-")[0]
        assert version == own_version(slate.variant)
        visits[version] = visits.get(version, 0) + 1
        about = {"user_id": user, "request_id": slate.request_id, "ts": at + 1}
        slots = [{"item_id": i.item_id, "position": i.position} for i in slate.items]
        pipeline.event({"type": "impression", "event_id": f"i{k}", "items": slots, **about})
        pipeline.event({"type": "click", "event_id": f"c{k}", "item_id": slots[0]["item_id"], **about})
    pipeline.tick(NOW + 10_000_000)
    heads = pipeline.parts.learner.heads
    assert visits.keys() == {SLOW, FAST}
    for name, n in visits.items():
        assert heads[name].ranker.examples == 4 * n
        assert 0 < heads[name].ordering.examples < heads["base"].ordering.examples
    assert heads["base"].ranker.examples == 4 * 60


def test_what_a_variant_learns_reaches_other_processes_and_its_snapshots() -> None:
    one, other, restored = (declared(World()) for _ in range(3))
    learnt(one, "learn:pace/fast")
    interactions, told = one.learner.take()
    assert {f"click@{FAST}", f"calibration@{FAST}"} <= told.keys() and f"click@{SLOW}" not in told
    other.learner.hear(deltas.decode(deltas.encode(Delta("w", 1, interactions, told))))
    rows = np.random.default_rng(2).normal(size=(3, len(one.learner.features))).astype(np.float32)
    before = declared(World()).learner.heads[FAST].ranker.logits(rows)
    after, heard = (world.learner.heads[FAST].ranker.logits(rows) for world in (one, other))
    assert (
        np.abs(heard - before).max() > 0.1
        and np.sign(heard - before).tolist() == np.sign(after - before).tolist()
    )
    restored.learner.load(one.learner.components())
    assert same(restored.learner.heads[FAST], one.learner.heads[FAST])


def test_a_restored_process_that_hears_of_the_experiment_later_finds_its_weights() -> None:
    one, later = learnt(declared(World()), "learn:pace/fast"), World()
    later.learner.load(one.learner.components())
    declared(later)
    assert same(later.learner.heads[FAST], one.learner.heads[FAST])


def test_changes_of_versions_leave_them_alone_and_a_freeze_holds_for_them_too() -> None:
    world = learnt(declared(World()), "learn:pace/fast")
    registry = Registry()
    for k, what in enumerate(("register", "promote", "promote", "rollback")):
        change = Change(id=str(k), ts=k, who="ann", what=what, version="v2", share=0.1)  # type: ignore[arg-type]
        assert registry.apply(change) == ""
        world.recommender.follow(registry)
    assert {SLOW, FAST, "base"} <= set(world.learner.heads)
    before = world.learner.heads[FAST].ranker.examples
    learnt(world, "learn:pace/fast")
    assert world.learner.heads[FAST].ranker.examples == before


def test_an_experiment_that_is_taken_away_takes_its_weights_along() -> None:
    world = declared(World())
    world.recommender.declare(None)
    assert set(world.learner.heads) == {"base"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (EXPERIMENT.replace("learning: own,", ""), "learning: own"),
        (EXPERIMENT.replace("recipe: {alpha: 0.5}", "model_version: v2"), "weights of its own"),
        (EXPERIMENT.replace("alpha: 0.5", "alfa: 0.5"), "a recipe has no alfa"),
        (EXPERIMENT.replace("recipe: {alpha: 0.5}", "recipe: fast"), "names and numbers"),
        (EXPERIMENT.replace("slow: {}", ", ".join(f"v{k}: {{}}" for k in range(7))), "at most 6"),
        (
            EXPERIMENT
            + f"  other: {{experiments: {{e: {{{ALWAYS}, traffic: 1, variants: {{a: {{}}, b: {{overrides:"
            " {model_version: v2}}}}}}",
            "both override model_version",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        parse(text, known_override)
