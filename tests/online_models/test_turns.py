"""Users who turn to other tastes: found by the clicks that did not come, and served by the past no longer."""

from __future__ import annotations

import base64

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.events import Click, Exposure, Impression, Shown, Slot
from online_models.fold_policy import FoldPolicy
from online_models.history import UserRecord, decode, encode
from online_models.state import PartitionFold, Timed
from online_models.turns import ENOUGH, MOST, evidence

NAMES = {f"i{k}": k for k in range(200)}
OLD = [0, 1, 2, 3]


def record_with_history() -> UserRecord:
    record = UserRecord()
    for k, item in enumerate(OLD):
        record.act(item, 1_000 * (k + 1))
    return record


def seen(record: UserRecord) -> list[int]:
    return list(record.query(1, now=10**9).recent)


def test_slates_that_go_as_foretold_speak_for_the_tastes_that_are_known() -> None:
    rng = np.random.default_rng(0)
    p = np.full(10, 0.15)
    as_foretold = [evidence(zip(p, rng.random(10) < p, strict=True)) for _ in range(2_000)]
    turned = [evidence(zip(p, rng.random(10) < p / 4, strict=True)) for _ in range(2_000)]
    assert np.mean(as_foretold) < -50
    assert np.mean(turned) > 40


def test_one_slate_alone_turns_nobody_however_long_and_sure_it_was() -> None:
    assert evidence([(0.9, False)] * 64) == MOST < ENOUGH
    assert evidence([(1.0, False), (0.0, False)]) == MOST


def test_after_slates_without_the_clicks_foretold_what_was_done_before_is_history_no_longer() -> None:
    record = record_with_history()
    for visit in range(2):
        record.weigh(MOST, 100_000 * (visit + 1))
    assert seen(record) == OLD[::-1]
    record.act(50, 250_000)  # a click on something else, while in doubt
    record.weigh(MOST, 300_000)
    assert seen(record) == [50]
    assert record.acted_items() == {*OLD, 50}, "what was acted on is hidden still"


def test_a_slate_clicked_as_foretold_takes_the_doubt_back() -> None:
    record = record_with_history()
    for visit in range(20):
        record.weigh(80, 100_000 * (visit + 1))
        record.weigh(-150, 100_000 * (visit + 1) + 50_000)
    assert seen(record) == OLD[::-1]
    assert (record.doubt, record.doubt_since) == (0, 0)


def test_who_has_turned_may_turn_again_and_keeps_what_came_since() -> None:
    record = record_with_history()
    for visit in range(6):
        record.act(60 + visit, 100_000 * (visit + 1) + 1_000)
        record.weigh(MOST, 100_000 * (visit + 1))
    assert seen(record) == [65, 64, 63], "the second turn began with the fourth slate"


@given(st.integers(0, ENOUGH - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans())
def test_redis_gives_a_turn_back_as_it_was(doubt: int, since: int, turned: int, passed: bool) -> None:
    record = record_with_history()
    record.see(9)
    record.doubt, record.doubt_since, record.turned = doubt, 1_000 * since * bool(doubt), 1_000 * turned
    if passed:
        record.passed = {7: None, 8: None}
    if not doubt and not turned:
        record.doubt_since = 0
    assert decode(encode(record)) == record


# ---------------------------------------------------------------------- through the fold


def visit(fold: PartitionFold, k: int, likely: float, clicked: int | None = None) -> None:
    """A slate of ten at minute ``k``, seen whole; then its window closes."""
    ts, name = 600_000 + 600_000 * k, f"r{k}"
    items = [f"i{10 * (k % 10) + at + 50}" for at in range(10)]
    features = base64.b64encode(np.ones((10, 2), dtype="<f2").tobytes()).decode()
    events: list[Exposure | Impression | Click] = [
        Exposure(
            type="exposure", event_id=f"x{k}", user_id="u", ts=ts, request_id=name, feature_schema="s",
            items=[Slot(item, at, probability=likely) for at, item in enumerate(items)], features=features,
        ),
        Impression(
            type="impression", event_id=f"i{k}", user_id="u", ts=ts + 1, request_id=name,
            items=[Shown(item, at) for at, item in enumerate(items)],
        ),
    ]  # fmt: skip
    if clicked is not None:
        events.append(
            Click(
                type="click", event_id=f"c{k}", user_id="u", ts=ts + 2_000, request_id=name,
                item_id=items[clicked],
            )
        )  # fmt: skip
    fold_all(fold, events, ts + 300_000)


def fold_all(fold: PartitionFold, events: list[Exposure | Impression | Click], watermark: int) -> bytes:
    timed = [Timed(event, event.ts) for event in events]
    for user_id in fold.missing(timed, watermark):
        fold.admit(user_id, (None, {}, None, {}))
    outcome = fold.fold(timed, NAMES, watermark)
    written = [w[2] for w in outcome.writes if w[0] == "SET" and str(w[1]).endswith(":u:u")]
    return written[-1] if written else b""


def a_user() -> PartitionFold:
    fold = PartitionFold("t:{0}:", FoldPolicy())
    clicks = [
        Click(type="click", event_id=f"old{k}", user_id="u", ts=1_000 * (k + 1), item_id=f"i{k}") for k in OLD
    ]
    fold_all(fold, [*clicks], 5_000)
    return fold


def test_a_user_who_leaves_slate_after_slate_that_promised_clicks_begins_anew() -> None:
    fold = a_user()
    for k in range(3):
        visit(fold, k, likely=0.1)
    assert set(seen(fold.users["u"].record)) == set(OLD)
    visit(fold, 3, likely=0.1)
    assert seen(fold.users["u"].record) == []


def test_slates_that_promised_little_turn_nobody() -> None:
    fold = a_user()
    for k in range(10):
        visit(fold, k, likely=0.005)
    assert set(seen(fold.users["u"].record)) == set(OLD)


def test_a_click_on_each_slate_that_foretold_one_keeps_the_history() -> None:
    fold = a_user()
    for k in range(10):
        visit(fold, k, likely=0.1, clicked=k)
    assert set(OLD) < set(seen(fold.users["u"].record))


def test_what_a_closed_window_says_is_written_at_once() -> None:
    fold = a_user()
    ts = 600_000
    features = base64.b64encode(np.ones((1, 2), dtype="<f2").tobytes()).decode()
    fold_all(
        fold,
        [
            Exposure(
                type="exposure", event_id="x", user_id="u", ts=ts, request_id="r", feature_schema="s",
                items=[Slot("i9", 0, probability=0.5)], features=features,
            ),
            Impression(
                type="impression", event_id="i", user_id="u", ts=ts + 1, request_id="r", items=[Shown("i9", 0)]
            ),
        ],
        ts + 2,
    )  # fmt: skip
    stored = decode(fold_all(fold, [], ts + 300_000))
    assert stored.doubt == fold.users["u"].record.doubt > 0
    assert stored.doubt_since == ts
