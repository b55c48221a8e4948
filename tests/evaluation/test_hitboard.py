"""Slates on real data are scored by what their users do next, beside chance and popularity."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.datasets import Rating, open_dataset
from evaluation.hitboard import HitBoard


def test_nothing_scored_is_no_rate() -> None:
    assert set(HitBoard().rates().values()) == {None}


def test_a_new_item_and_one_already_acted_on_are_not_scored() -> None:
    board = HitBoard()
    board.learn("u", "a")
    assert not board.score("v", "new", ["a"])
    assert not board.score("u", "a", ["a"])
    assert not board.score("v", "a", [])
    assert board.scored == 0


def test_what_the_user_acted_on_is_in_no_popular_slate() -> None:
    board = HitBoard()
    for user, item in [("x", "a"), ("y", "a"), ("u", "a"), ("x", "b")]:
        board.learn(user, item)
    assert board.score("u", "b", ["c"])
    assert board.rates() == {"ctr_policy": 0.0, "ctr_random": 1.0, "ctr_popular": 1.0}


def test_memory_has_its_caps() -> None:
    board = HitBoard(users_max=2, items_max=3)
    for k in range(2_000):
        board.learn(f"u{k}", f"i{k}")
    assert (len(board._acted), len(board._number)) == (2, 3)
    with pytest.raises(ValueError, match="users_max"):
        HitBoard(users_max=0)


def test_chance_is_what_random_slates_would_reach() -> None:
    board, rng = HitBoard(), np.random.default_rng(0)
    for k in range(50):
        board.learn("x", f"i{k}")
    hits = 0
    for _ in range(4_000):
        slate = [f"i{k}" for k in rng.choice(50, 5, replace=False)]
        hits += "i7" in slate
        board.score("u", "i7", slate)
    assert board.rates()["ctr_policy"] == hits / 20_000
    assert board.rates()["ctr_policy"] == pytest.approx(board.rates()["ctr_random"], rel=0.15)


@pytest.mark.data
def test_popularity_on_real_ratings_beats_chance_by_far(data_dir: Path) -> None:
    board = HitBoard()
    for record in open_dataset(data_dir / "ml-100k.inter.gz").records.in_time_order()[:20_000]:
        assert isinstance(record, Rating)
        if record.rating >= 5:
            board.score(record.user, record.item, ["-"] * 10)
            board.learn(record.user, record.item)
    rates = board.rates()
    assert rates["ctr_popular"] > 5 * rates["ctr_random"] > 0  # type: ignore[operator]
