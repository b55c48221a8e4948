"""Team draft: fair to both rankings, and it finds the better one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.conversions import preference
from serving.interleaving import team_draft

ranking = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@given(ranking, ranking, st.integers(1, 10), st.integers(0, 2**32))
def test_no_item_twice_none_skipped_and_neither_ranking_ahead_by_more_than_one(
    a: list[str], b: list[str], n: int, seed: int
) -> None:
    made = team_draft(a, b, n, np.random.default_rng(seed))
    assert len(set(made.items)) == len(made.items) == len(made.teams) == min(n, len({*a, *b}))
    for k, (item, team) in enumerate(zip(made.items, made.teams, strict=True)):
        own = a if team == "a" else b
        assert item == next(x for x in own if x not in made.items[:k])
        if {*a} <= {*b} <= {*a}:
            assert abs(made.teams[: k + 1].count("a") - made.teams[: k + 1].count("b")) <= 1


def test_equal_rankings_are_credited_alike() -> None:
    rng = np.random.default_rng(0)
    first = Counter(team_draft("abc", "abc", 3, rng).teams[0] for _ in range(4_000))
    assert first["a"] == pytest.approx(2_000, abs=130)


def test_a_better_ranking_wins_and_an_equal_one_does_not() -> None:
    rng, liked = np.random.default_rng(1), {"a": 0.5, "b": 0.4, "c": 0.1, "d": 0.1, "e": 0.05}

    def wins(better: str, worse: str) -> tuple[int, int]:
        won = Counter()
        for _ in range(400):
            slate = team_draft(better, worse, 3, rng)
            a, b = slate.credit({item for item in slate.items if rng.random() < liked[item]})
            won[(a > b) - (a < b)] += 1
        return won[1], won[-1]

    assert preference(*wins("abcde", "edcba")) < 0.001
    assert preference(*wins("abcde", "abced")) > 0.01


def test_a_slate_has_at_least_one_slot() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        team_draft("ab", "ba", 0, np.random.default_rng(0))
