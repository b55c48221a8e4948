"""The log of exposures is read whole: what can be evaluated, and what cannot with its reason."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from evaluation.ope.log import EXCLUDING, log_of, read_log
from evaluation.records import DatasetError
from serving.types import Choice, Slate, SlateItem
from serving.wire import exposure

CHOICE = {"items": ["a", "b", "c", "d"], "scores": [0.0, 1.0, None, 0.5], "barred": [[], [3]]}


def shown(request_id: str = "r1", *, flags: tuple[str, ...] = ("randomised",), **more: Any) -> dict[str, Any]:
    slots = [
        {"item_id": "c", "position": 1, "propensity": 0.5},
        {"item_id": "b", "position": 0, "propensity": 0.7},
    ]
    made = {
        "type": "exposure", "request_id": request_id, "user_id": "u", "items": slots, "flags": list(flags),
        "context": {"choice": CHOICE},
    }  # fmt: skip
    return {**made, **more}


def click(item: str, request_id: str = "r1") -> dict[str, Any]:
    return {"type": "click", "request_id": request_id, "item_id": item}


def test_a_slate_is_read_in_order_of_position_with_what_could_stand_in_each_slot() -> None:
    [slate] = log_of([shown()]).slates
    assert (slate.chosen, slate.propensities) == ((1, 2), (0.7, 0.5))
    assert [able.tolist() for able in slate.eligible] == [[0, 1, 2, 3], [0, 2]]
    assert not slate.free


def test_clicks_belong_to_a_slate_by_request_and_item_and_count_once() -> None:
    log = log_of([click("c"), shown(), click("c"), click("a"), click("b", "r2"), shown("r3", clicks=["b"])])
    assert [slate.clicks for slate in log.slates] == [(False, True), (True, False)]
    assert log.clicks == 2


@pytest.mark.parametrize("flag", EXCLUDING)
def test_what_is_no_draw_is_left_out_by_reason(flag: str) -> None:
    log = log_of([shown(flags=("randomised", flag))])
    assert (log.slates, dict(log.excluded)) == ((), {flag.replace("_", " "): 1})


def test_only_randomised_slates_that_say_what_they_were_drawn_from_are_used() -> None:
    log = log_of([shown(flags=()), shown("r2", context={}), shown("r3", items=[])])
    assert dict(log.excluded) == {"not randomised": 1, "eligible set not logged": 1, "empty slate": 1}


def test_a_request_served_twice_counts_once() -> None:
    log = log_of([shown(), shown()])
    assert (len(log.slates), dict(log.excluded)) == (1, {"request repeated": 1})


def test_where_impressions_are_logged_a_slate_without_one_was_never_displayed() -> None:
    log = log_of([shown(), shown("r2"), {"type": "impression", "request_id": "r1"}])
    assert [slate.request_id for slate in log.slates] == ["r1"]
    assert dict(log.excluded) == {"never displayed": 1}


def test_a_pin_is_no_draw_and_stands_nowhere_else() -> None:
    slots = [
        {"item_id": "d", "position": 0, "propensity": 1.0},
        {"item_id": "b", "position": 1, "propensity": 0.4},
    ]
    [slate] = log_of(
        [shown(flags=("randomised", "pinned"), items=slots, context={"choice": {**CHOICE, "barred": []}})]
    ).slates
    assert [able.tolist() for able in slate.eligible] == [[3], [0, 1, 2]]
    assert not slate.free


@pytest.mark.parametrize(
    ("slot", "reason"),
    [
        ({"item_id": "x", "position": 0, "propensity": 0.5}, "shown item not in eligible set"),
        ({"item_id": "a", "position": 0, "propensity": 0.0}, "propensity not in (0, 1]"),
    ],
)
def test_a_slate_that_cannot_be_right_is_left_out(slot: dict[str, Any], reason: str) -> None:
    assert dict(log_of([shown(items=[slot])]).excluded) == {reason: 1}


def test_what_serving_writes_is_read(tmp_path: Path) -> None:
    item = SlateItem("b", number=1, position=0, score=1.0, source="covisits", propensity=0.7)
    choice = Choice(items=("a", "b"), scores=np.array([0.0, 1.0], np.float32), barred=((),))
    slate = Slate(
        request_id="r", user_id="u", surface="home", items=(item,), policy="plackett_luce", model_version="1",
        choice=choice, flags=("randomised",),
    )  # fmt: skip
    path = tmp_path / "exposures.jsonl.gz"
    path.write_bytes(gzip.compress(orjson.dumps(exposure(slate, now=0)) + b"\n\n"))
    [read] = read_log(path).slates
    assert (read.chosen, read.propensities, read.scores.tolist(), read.free) == (
        (1,),
        (0.7,),
        [0.0, 1.0],
        True,
    )


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"type": "click"}\nnonsense\n')
    with pytest.raises(DatasetError, match=r"log\.jsonl: line 2: wanted a JSON object"):
        read_log(path)
