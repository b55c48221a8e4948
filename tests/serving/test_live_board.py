"""The console's counts are those of the log, each click under its source and its arm."""

from __future__ import annotations

from typing import Any

import pytest

from serving.live_board import LiveBoard


def _exposure(request: str, *, flags: tuple[str, ...] = (), source: str = "vsk") -> dict[str, Any]:
    items = [{"item_id": f"i{k}", "source": source, "probability": 0.25} for k in range(4)]
    return {"type": "exposure", "request_id": request, "user_id": "u", "items": items, "flags": list(flags)}


def _impression(request: str, *items: str) -> dict[str, Any]:
    shown = [{"item_id": item} for item in items]
    return {"type": "impression", "request_id": request, "user_id": "u", "items": shown}


def _click(request: str, item: str) -> dict[str, Any]:
    return {"type": "click", "request_id": request, "user_id": "u", "item_id": item}


def test_a_click_counts_once_under_the_source_and_the_arm_of_its_slot() -> None:
    board = LiveBoard()
    board.event(_exposure("a"))
    board.event(_exposure("b", flags=("randomised",)))
    board.event(_impression("a", "i0", "i1"))
    board.event(_impression("b", "i0"))
    for _ in range(2):
        board.event(_click("b", "i0"))
    told = board.tick(1.0)
    assert told["arms"]["policy"] == [2.0, 0.5, 0.0]
    assert told["arms"]["random"] == [1.0, 0.25, 1.0]
    assert told["sources"]["vsk"] == [3.0, 0.75, 1.0]


def test_a_slot_clicked_before_its_impression_was_seen_all_the_same() -> None:
    board = LiveBoard()
    board.event(_exposure("a"))
    board.event(_click("a", "i3"))
    board.event(_impression("a", "i3"))
    assert board.tick(1.0)["arms"]["policy"] == [1.0, 0.25, 1.0]


def test_actions_on_slates_nobody_knows_count_nothing() -> None:
    board = LiveBoard(slates=1)
    board.event(_exposure("old"))
    board.event(_exposure("new"))
    board.event(_click("old", "i0"))
    board.event(_click("never", "i0"))
    assert board.tick(1.0)["arms"]["policy"] == [0.0, 0.0, 0.0]


def test_counts_fade_by_half_in_a_half_life() -> None:
    board = LiveBoard(half_life_s=10.0)
    board.event(_exposure("a", source="popular_day"))
    board.event(_impression("a", "i0", "i1"))
    board.tick(10.0)
    assert board.tick(1.0)["arms"]["popular"] == [1.0, 0.25, 0.0]


def test_only_fresh_slates_tell_of_freshness() -> None:
    board = LiveBoard()
    board.recommendation({"request_id": "auto-e1", "freshness_ms": 15})
    board.recommendation({"request_id": "asked", "freshness_ms": 900})
    fresh = board.tick(1.0)["freshness"]
    assert (fresh["p50"], sum(fresh["counts"])) == (15.0, 1.0)
    assert fresh["counts"][fresh["edges"].index(20)] == 1.0


def test_a_dead_letter_is_shown_without_the_record_it_is_about() -> None:
    board = LiveBoard()
    board.letter({"reason": "json", "detail": "not JSON", "raw": "c2VjcmV0", "key": "dQ=="})
    (letter,) = board.tick(1.0)["letters"]
    assert letter["reason"] == "json"
    assert {"raw", "key"}.isdisjoint(letter)


def test_a_signal_heard_twice_is_one() -> None:
    board = LiveBoard()
    for _ in range(2):
        board.signal({"id": "click_rate:home-5", "name": "click_rate:home"})
    assert len(board.tick(1.0)["signals"]) == 1


@pytest.mark.parametrize(("half_life_s", "slates"), [(0.0, 1), (1.0, 0)])
def test_bad_arguments_are_refused(half_life_s: float, slates: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LiveBoard(half_life_s, slates)
