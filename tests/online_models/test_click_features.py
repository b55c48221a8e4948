"""What the click head reads of a candidate: what its user passed over, and whether any click is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.click_features import EXTRA, beside
from online_models.counters import ItemCounters
from online_models.history import UserRecord


def told(record: UserRecord | None, name: str) -> list[float]:
    ids = np.array([3, 5, 8], dtype=np.int32)
    rows = beside(
        ids, np.zeros(3), np.arange(3), ItemCounters(86_400_000), record, surface="home", now=1_000
    )  # fmt: skip
    return [float(value) for value in rows[:, EXTRA.index(name)]]


def test_an_item_passed_over_more_often_reads_higher_and_items_that_are_no_candidates_nowhere() -> None:
    record = UserRecord()
    for item in (5, 9, 5, 3, 1, 5):
        record.see(item)
    assert told(record, "user.passed_over") == pytest.approx(np.log1p([1, 3, 0]), rel=1e-6)


def test_who_has_seen_nothing_has_passed_nothing_over() -> None:
    assert told(UserRecord(), "user.passed_over") == told(None, "user.passed_over") == [0.0] * 3


def test_users_without_a_click_are_told_apart_from_those_with_one() -> None:
    record = UserRecord()
    assert told(None, "user.no_click_yet") == told(record, "user.no_click_yet") == [1.0] * 3
    record.count("click")
    assert told(record, "user.no_click_yet") == [0.0] * 3
