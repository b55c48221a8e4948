"""docs/scaling.md and docs/reliability.md say what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import render, scaling_tables
from bench.mixing import Mixing, compare
from evaluation.protocol import Tally
from online_models.base import Interaction

TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / "docs"


@pytest.mark.parametrize("name", ["scaling.md", "reliability.md"])
def test_the_documents_are_what_the_results_say(name: str) -> None:
    text = (DOCS / name).read_text()
    assert render.rendered(text) == text


def test_every_table_stands_in_a_document() -> None:
    text = "".join((DOCS / name).read_text() for name in ("scaling.md", "reliability.md"))
    ours = {name for name, (_, make) in render.TABLES.items() if make.__module__ == scaling_tables.__name__}
    assert set(re.findall(r"<!-- table:([\w-]+) -->", text)) == ours


def test_every_test_that_the_documents_name_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (DOCS / "reliability.md").read_text())
    assert len(named) >= 20
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (TESTS / file).read_text()]
    assert missing == []


def test_workers_that_mix_after_every_event_know_the_same() -> None:
    arm = Mixing(3, interval=1)
    for k in range(60):
        arm.learn(Interaction(user=k % 7, item=k % 5, ts=k))
    popular = [model.popular(5, now=60)[0].tolist() for model in arm.models]
    assert popular == [popular[0]] * 3


def test_a_worker_tells_nothing_before_its_interval_is_over() -> None:
    arm = Mixing(2, interval=10)
    for k in range(9):
        arm.learn(Interaction(user=1, item=k, ts=k))
    assert arm.deltas == 0
    assert sorted(len(model.popular(20, now=9)[0]) for model in arm.models) == [0, 9]
    arm.learn(Interaction(user=1, item=9, ts=9))
    assert [len(model.popular(20, now=9)[0]) for model in arm.models] == [10, 10]


def test_by_time_a_worker_tells_when_the_next_interval_of_the_stream_begins() -> None:
    arm = Mixing(2, interval=None, interval_ms=1_000)
    for k in range(5):
        arm.learn(Interaction(user=1, item=k, ts=10_000 + k))
    assert sorted(len(model.popular(20, now=10_004)[0]) for model in arm.models) == [0, 5]
    arm.learn(Interaction(user=2, item=7, ts=11_000))
    told = [set(model.popular(20, now=11_000)[0].tolist()) for model in arm.models]
    assert all(set(range(5)) <= items for items in told)
    assert arm.deltas == 1


def test_a_difference_is_judged_by_its_own_error_and_two_per_cent() -> None:
    one, same = Tally(10, 4, [0.0, 20.0, 3.0, 50.0]), Tally(10, 4, [1.0, 30.0, 4.0, 60.0])
    worse = Tally(10, 4, [20.0, 20.0, 20.0, 50.0])
    told = compare({"1 worker": one, "same": same, "worse": worse})
    assert (told["same"]["difference"], told["same"]["within"]) == (0.0, True)
    assert told["worse"]["difference"] == -0.5
