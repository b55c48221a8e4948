"""The bubble in a small world, measured by its truth; and docs/exploration.md says what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench import exploration_tables, render
from evaluation import exploration
from evaluation.simulator import World, WorldConfig
from evaluation.spread import SpreadBoard

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "exploration.md"
SMALL = {"users": 60, "items": 600, "new_items": 30, "new_item_every_ms": 2_000}


def test_the_same_slate_over_and_over_is_a_bubble_and_all_items_in_turn_are_none() -> None:
    world = World(WorldConfig(users=5, items=100, new_items=0))
    narrow, wide = (SpreadBoard(world, visits=40, windows=2) for _ in range(2))
    for k in range(40):
        narrow.add("u0", [f"i{j}" for j in range(5)], k)
        wide.add("u0", [f"i{(5 * k + j) % 100}" for j in range(5)], k)
    assert [w["coverage"] for w in narrow.windows] == [0.05, 0.05]
    assert [w["coverage"] for w in wide.windows] == [1.0, 1.0]
    assert narrow.windows[1]["gini"] == pytest.approx(0.95)
    assert wide.windows[1]["gini"] == pytest.approx(0.0)
    assert narrow.windows[1]["novelty"] < 2.5 < 6.0 < wide.windows[1]["novelty"]


def test_difference_within_a_slate_is_that_of_the_true_tags() -> None:
    world = World(WorldConfig(users=5, items=100, new_items=0))
    first = np.flatnonzero(world.truth.item_tags[:, 0] > 0.99)[:3]
    board = SpreadBoard(world, visits=1, windows=1)
    board.add("u0", [f"i{k}" for k in first], 0)
    assert board.windows[0]["diversity"] == pytest.approx(0.0, abs=1e-6)


def test_without_exploration_fewer_items_are_ever_shown() -> None:
    told = exploration.run(seed=1, visits=400, windows=4, described=False, **SMALL)
    ever = {arm: windows[-1]["ever_shown"] for arm, windows in told["arms"].items()}
    assert ever["exploring"] > 1.5 * ever["not exploring"]


def test_the_page_is_what_the_script_would_write() -> None:
    text = PAGE.read_text()
    assert render.rendered(text) == text
    named = set(re.findall(r"<!-- table:([\w-]+) -->", text))
    made = exploration_tables.__name__
    assert named == {name for name, (_, make) in render.TABLES.items() if make.__module__ == made}


def test_every_picture_and_page_it_points_to_is_there() -> None:
    for path in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE.read_text()):
        assert (PAGE.parent / path).resolve().is_file(), path
