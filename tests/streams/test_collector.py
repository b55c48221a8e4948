"""The collector of cycles never stops the loop for long, however much is held."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streams import collector


@pytest.fixture
def settled() -> Iterator[None]:
    before = gc.get_threshold()
    collector.settle()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("settled")
def test_no_look_goes_through_more_than_a_few_times_the_young() -> None:
    looked_at: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked_at.append(sum(len(gc.get_objects(age)) for age in range(info["generation"] + 1)))

    gc.callbacks.append(look)
    held = [[k] for k in range(1_000_000)]
    gc.callbacks.remove(look)
    assert len(held) == 1_000_000
    assert len(looked_at) > 10
    assert max(looked_at) <= (collector.LOOKS + 3) * collector.YOUNG


@pytest.mark.usefixtures("settled")
def test_cycles_are_still_freed() -> None:
    class Knot:
        alive = 0

        def __init__(self) -> None:
            self.itself = self
            Knot.alive += 1

        def __del__(self) -> None:
            Knot.alive -= 1

    most = 0
    for _ in range(20 * collector.YOUNG):
        Knot()
        most = max(most, Knot.alive)
    assert most <= 2 * collector.YOUNG
