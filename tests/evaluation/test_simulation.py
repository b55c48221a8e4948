"""Figures of the simulator: small worlds, answers known beforehand."""

import dataclasses

import numpy as np
import pytest

from evaluation.closed import Closed, ClosedSlots, calibration, normalised_entropy
from evaluation.in_process import InProcess
from evaluation.simulation import START_MS, Visit, by_clicks, by_own_visits, by_time, recovery, simulate
from evaluation.simulator import WorldConfig
from online_models.labels import Kind, Labelled
from serving.assembly import assemble
from serving.types import SurfacePolicy

ROW = np.zeros(1, dtype=np.float32)


class _Deaf:
    def observe(self, label: Labelled, predicted: float) -> None:
        pass


def _label(item: int, kind: Kind, served: int, position: int = 0) -> Labelled:
    return Labelled(item, kind, ROW, "s", position, "home", 0.5, 1.0, ts=served + 9, served=served)


def _visit(k: int, policy: float, *, moved: bool = True, clicks: int = 0) -> Visit:
    return Visit(START_MS + k, (policy, 0.1, 0.2, 0.4), clicks, moved, 0)


# ---------------------------------------------------------------------- closed slots


def test_a_late_click_corrects_its_own_slot_and_no_other() -> None:
    slots = ClosedSlots(_Deaf(), "s")
    for item, kind in ((1, Kind.NEGATIVE), (2, Kind.NEGATIVE), (2, Kind.CORRECTION), (3, Kind.POSITIVE)):
        slots.observe(_label(item, kind, 10), 0.5)
    assert {row.item: row.clicked for row in slots.rows()} == {1: False, 2: True, 3: True}


def test_labels_of_another_schema_are_left_out_and_told_on() -> None:
    told: list[int] = []

    class Inner:
        def observe(self, label: Labelled, predicted: float) -> None:
            told.append(label.item)

    slots = ClosedSlots(Inner(), "other")
    slots.observe(_label(1, Kind.POSITIVE, 10), 0.5)
    assert slots.rows() == []
    assert told == [1]


def test_calibration_is_predicted_over_observed_by_decile_and_position() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 20_000)
    clicked = rng.random(20_000) < p
    rows = [Closed(k, 0, k % 2, "home", float(p[k]), bool(clicked[k])) for k in range(20_000)]
    told = calibration(rows)
    assert told["overall"] == pytest.approx(1.0, abs=0.03)
    assert all(ratio == pytest.approx(1.0, abs=0.2) for ratio in told["by_decile"])  # type: ignore[union-attr]
    assert set(told["by_position"]) == {"home.0", "home.1"}  # type: ignore[call-overload]
    assert calibration([])["overall"] is None


def test_who_knows_the_item_gains_nothing_over_its_click_rate_and_who_knows_more_does() -> None:
    rng = np.random.default_rng(1)
    liked = rng.random(6_000) < 0.5
    clicked = rng.random(6_000) < np.where(liked, 0.4, 0.05)
    knows = [Closed(k, 7, 0, "home", 0.4 if liked[k] else 0.05, bool(clicked[k])) for k in range(6_000)]
    blind = [Closed(r.served, 7, 0, "home", 0.225, r.clicked) for r in knows]
    assert normalised_entropy(knows, 1_000)["gain"] > 0.1  # type: ignore[operator]
    assert normalised_entropy(blind, 1_000)["gain"] == pytest.approx(0.0, abs=0.01)
    assert normalised_entropy([], 0)["gain"] is None


# ---------------------------------------------------------------------- over time


def test_recovery_is_counted_in_visits_from_the_shift() -> None:
    quality = [0.2] * 300 + [0.0] * 100 + [0.2] * 300
    told = recovery([_visit(k, q) for k, q in enumerate(quality)], START_MS + 300, window=50)
    told.pop("by_own_visits")
    assert told == {"before": 0.5, "fell_to": 0.0, "visits_to_half": 124, "visits_to_90_percent": 144}


def test_what_never_comes_back_is_told_as_never() -> None:
    told = recovery([_visit(k, 0.2 if k < 300 else 0.0) for k in range(600)], START_MS + 300, window=50)
    assert told["visits_to_half"] is None
    short = recovery([_visit(k, 0.2) for k in range(60)], START_MS + 30, window=50)
    assert short["before"] is None


def test_recovery_is_told_by_each_user_s_own_visits_too() -> None:
    visits = [
        dataclasses.replace(_visit(300 + k, 0.1 if k < 4 else 0.3), user=user)
        for k in range(6)
        for user in ("a", "b")
    ]
    visits.append(dataclasses.replace(_visit(900, 0.4), user="c"))  # the first time since
    told = by_own_visits(visits, START_MS + 302)
    assert told["1-2"] == {"visits": 5, "share": pytest.approx((4 * 0.25 + 1.0) / 5)}
    assert told["3-5"]["visits"] == 4
    assert told["3-5"]["share"] == pytest.approx(0.75)


def test_users_whose_tastes_stay_do_not_count_for_recovery() -> None:
    visits = [_visit(k, 0.2 if k < 300 or k % 2 else 0.0, moved=k % 2 == 0) for k in range(600)]
    assert recovery(visits, START_MS + 300, window=50)["fell_to"] == 0.0


def test_windows_and_buckets_hold_every_visit_once() -> None:
    visits = [_visit(k, 0.2, clicks=k % 25) for k in range(103)]
    assert sum(window["visits"] for window in by_time(visits, 10)) == 103
    told = by_clicks(visits)
    assert sum(bucket["visits"] for bucket in told.values()) == 103
    assert list(told) == ["0", "1", "2", "3-4", "5-9", "10-19", "20+"]
    assert told["1"]["times_popular"] == pytest.approx(1.0)


# ---------------------------------------------------------------------- the pipeline in a small world


def test_a_new_deployment_is_half_as_good_again_as_popularity_within_a_minute() -> None:
    config = WorldConfig(seed=0, start_ms=START_MS, users=100, items=300, new_items=50)
    visits = simulate(config, 600, rate_per_s=10.0, window_ms=15_000).visits
    told = by_time(visits, 3)[-1]
    assert told["times_popular"] > 1.5
    assert told["ctr_oracle"] > told["ctr_policy"] > told["ctr_random"]


def test_the_same_seed_gives_the_same_slates() -> None:
    config = WorldConfig(seed=3, start_ms=START_MS, users=40, items=80, new_items=20)
    assert simulate(config, 60).visits == simulate(config, 60).visits


def test_a_click_on_a_tag_fills_the_next_slate_with_it() -> None:
    pipeline = InProcess(assemble({"default": SurfacePolicy()}), n=10)
    tags = ("jazz", "news", "chess", "space")
    for k in range(80):
        pipeline.item({"item_id": f"i{k}", "tags": [tags[k % 4]]}, now=1_000)
    first = pipeline.slate("ann", now=2_000)
    shown = [{"item_id": item.item_id, "position": item.position} for item in first.items]
    common = {"user_id": "ann", "request_id": first.request_id}
    pipeline.event({"type": "impression", "event_id": "1", "ts": 2_000, "items": shown, **common})
    liked = next(item for item in first.items if int(item.item_id[1:]) % 4 == 0)
    pipeline.event({"type": "click", "event_id": "2", "ts": 3_000, "item_id": liked.item_id, **common})
    after = [int(item.item_id[1:]) % 4 for item in pipeline.slate("ann", now=4_000).items]
    assert after.count(0) >= 6


def test_without_a_click_the_next_slate_is_another() -> None:
    pipeline = InProcess(assemble({"default": SurfacePolicy()}), n=5)
    for k in range(60):
        pipeline.item({"item_id": f"i{k}", "tags": [f"t{k % 6}"]}, now=1_000)
    first = pipeline.slate("ann", now=2_000)
    shown = [{"item_id": item.item_id, "position": item.position} for item in first.items]
    pipeline.event(
        {"type": "impression", "event_id": "1", "user_id": "ann", "ts": 2_000, "items": shown,
         "request_id": first.request_id}
    )  # fmt: skip
    again = pipeline.slate("ann", now=3_000)
    assert len({i.item_id for i in first.items} & {i.item_id for i in again.items}) <= 2
