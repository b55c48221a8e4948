"""How far down slates are looked at, from what a deployment logs: the simulator's own curve comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.simulator import World, WorldConfig
from online_models.chance import swapped_pair
from online_models.drift_monitor import DriftMonitor
from online_models.events import Exposure, Slot
from online_models.labels import Pending, from_exposure
from online_models.labels_wire import decode, encode
from online_models.ranker import ClickRanker
from online_models.watch import QualityWatch

SLOTS = 6
WORLD = World(WorldConfig(seed=2, users=40, items=30, new_items=0, base_logit=-1.0, late_share=0.0))
INTS = {name: k for k, name in enumerate(WORLD.item_ids)}
BEST = {user: WORLD.oracle(user, SLOTS, 0) for user in WORLD.user_ids}


def served(user: str, request_id: str, swap_share: float) -> tuple[list[str], int | None]:
    """The best slate there is, for a share of requests with one pair swapped."""
    items = list(BEST[user])
    pair = swapped_pair(request_id, "default", SLOTS, swap_share)
    if pair is not None:
        items[pair], items[pair + 1] = items[pair + 1], items[pair]
    return items, pair


def pending(user: str, request_id: str, items: list[str], swapped: int | None) -> Pending:
    """The exposure as the fold keeps it, by way of Redis."""
    context: dict[str, Any] = {} if swapped is None else {"swapped": swapped}
    event = Exposure(
        type="exposure", event_id=f"x-{request_id}", user_id=user, ts=0, request_id=request_id,
        items=[Slot(item, k, probability=0.1) for k, item in enumerate(items)], context=context,
    )  # fmt: skip
    return decode(encode(from_exposure(event, INTS)))


def watched(requests: int, swap_share: float = 0.5) -> QualityWatch:
    """A watch that has seen so many slates through."""
    watch = QualityWatch(ClickRanker(["x"]), DriftMonitor())
    for k in range(requests):
        user, request_id = WORLD.user_ids[k % len(WORLD.user_ids)], f"r{k}"
        items, swapped = served(user, request_id, swap_share)
        waiting = pending(user, request_id, items, swapped)
        for event in WORLD.react(user, items, 1_000, request_id=request_id):
            if event["type"] == "impression":
                for item in items:
                    waiting.show(INTS[item], 1_000, 60_000)
            elif event["type"] == "click" and (label := waiting.act(INTS[event["item_id"]], 2_000)):
                watch.observe(label, label.probability)
        for label in waiting.close():
            watch.observe(label, label.probability)
    watch.flush(0)
    return watch


@pytest.fixture(scope="module")
def watch() -> QualityWatch:
    """Twelve thousand slates, half of them with a swap."""
    return watched(12_000)


def test_the_known_curve_is_recovered_within_ten_percent(watch: QualityWatch) -> None:
    known = np.array([WORLD.examine(k) for k in range(SLOTS)])
    found = watch.examination.curve("default")[:SLOTS]
    assert np.abs(found / known - 1.0).max() < 0.10


def test_clicks_by_slot_alone_miss_it(watch: QualityWatch) -> None:
    counts = watch.examination.arrays()["counts"][0, :SLOTS, 0].astype(float)
    by_slot = counts[:, 1] / counts[:, 0]
    known = np.array([WORLD.examine(k) for k in range(SLOTS)])
    assert np.abs(by_slot / by_slot[0] / known - 1.0).max() > 0.10


def test_slates_drawn_at_random_are_left_out() -> None:
    watch = QualityWatch(ClickRanker(["x"]), DriftMonitor())
    waiting = pending("u0", "r", list(BEST["u0"]), None)
    waiting.randomised = True
    waiting.show(waiting.items[0], 1_000, 60_000)
    for label in waiting.close():
        watch.observe(label, label.probability)
    assert watch.examination.arrays()["counts"].sum() == 0
