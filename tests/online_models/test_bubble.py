"""Slates that close in are told of; slates that stay as they are, or open, are not."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.bubble import WORSE, BubbleWatch, Chart
from online_models.drift_signal import DriftSignal

ITEMS, SLOTS = 500, 10
TAGS = 20
Slates = np.ndarray


class Site:
    """A catalogue whose items are each of one tag, and what was shown of it."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tag = np.arange(ITEMS) % TAGS
        self.shown = np.zeros(ITEMS, np.int64)
        self.watch = BubbleWatch(
            lambda ids: np.eye(TAGS, dtype=np.float32)[self.tag[ids]],
            lambda ids: (self.shown[ids], int(self.shown.sum())),
            lambda: ITEMS,
        )
        self.slates = 0

    def serve(self, slates: int, among: int = ITEMS, tags: int = TAGS) -> list[DriftSignal]:
        """Slates drawn from the first items of the first tags; the signals until then."""
        pool = np.flatnonzero((np.arange(ITEMS) < among) & (self.tag < tags))
        for _ in range(slates):
            ids = self.rng.choice(pool, SLOTS, replace=False).astype(np.int32)
            self.shown[ids] += 1
            self.slates += 1
            self.watch.served(ids, ts=self.slates * 1_000)
        return self.watch.take_signals()


def test_slates_that_stay_as_they_are_give_no_signal() -> None:
    site = Site()
    assert site.serve(40_000) == []
    assert site.watch.latest["coverage"] == 1.0
    assert site.watch.latest["gini"] < 0.2


@pytest.mark.parametrize(
    ("closing", "moved"),
    [({"among": 250}, {"coverage", "gini", "novelty"}), ({"tags": 4}, set(WORSE))],
    ids=["fewer items", "fewer kinds"],
)
def test_a_bubble_is_told_within_some_hundred_slates_with_what_moved(
    closing: dict[str, int], moved: set[str]
) -> None:
    site = Site()
    assert site.serve(10_000) == []
    told = site.serve(1_000, **closing)
    assert len(told) == 1, "one signal a cause"
    [signal] = told
    name, _, where = signal.name.partition(":")
    assert (name in moved, where) == (True, "slates")
    assert (signal.cause, signal.runbook) == ("bubble", "docs/runbooks/feedback-loop.md")
    assert signal.ts <= (10_000 + 600) * 1_000
    assert WORSE[name] * (signal.evidence["after"] - signal.evidence["before"]) > 0.0


def test_a_slow_fall_is_found_though_no_two_neighbouring_blocks_differ() -> None:
    site, told = Site(), []
    assert site.serve(8_000) == []
    for among in range(ITEMS, 150, -2):
        told += site.serve(100, among=among)
    assert told
    assert told[0].ts < (8_000 + 100 * 100) * 1_000


def test_opening_up_is_no_signal() -> None:
    site = Site()
    site.serve(10_000, among=100, tags=5)
    assert site.serve(10_000) == []


def test_what_was_told_is_the_new_usual() -> None:
    site = Site()
    site.serve(10_000)
    told = site.serve(20_000, tags=4)
    # novelty goes on falling: the more often the same items are shown, the less there is to them
    assert len([signal for signal in told if not signal.name.startswith("novelty")]) == 1


def test_the_beginning_when_tastes_are_learnt_is_passed_over() -> None:
    site = Site()
    assert [site.serve(100, tags=TAGS - k // 2) for k in range(20)] == [[]] * 20


def test_empty_slates_are_left_out() -> None:
    site = Site()
    site.watch.served(np.zeros(0, dtype=np.int32), ts=1)
    assert (site.watch.blocks, site.watch.latest) == (0, {})


@pytest.mark.parametrize("wrong", [{"baseline": 1}, {"slack": -1.0}, {"limit": 0.0}])
def test_a_chart_that_could_not_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Chart(1.0, **wrong)  # type: ignore[arg-type]
