"""Windows per action: each closes its own negatives, a late action corrects, and what waits for days is little."""

from __future__ import annotations

import base64
import dataclasses

import numpy as np
import pytest

from online_models import labels_wire
from online_models.events import Action, Click, Privacy
from online_models.fold_policy import FoldPolicy
from online_models.labels import Kind, Labelled, from_exposure
from online_models.state import Outcome
from online_models.userstate import UserState
from online_models.windows import Window
from tests.online_models.test_learner import learner
from tests.online_models.test_state import click, exposure, fold_of, impression, run, stored_pending, written

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ACTIONS = {"click": 1.0, "like": 2.0, "purchase": 5.0, "dislike": -1.0, "not_interested": -1.0}
POLICY = FoldPolicy(
    actions=ACTIONS,
    windows={
        "like": Window(10 * MINUTE),
        "dislike": Window(10 * MINUTE),
        "purchase": Window(3 * DAY, after_click=True),
    },
)


def act(action: str, item: str, ts: int, *, request_id: str | None = "r1", value: float = 1.0) -> Action:
    return Action(
        type="action", event_id=f"{action}-{item}-{ts}", user_id="u", ts=ts, item_id=item, action=action,
        value=value, request_id=request_id,
    )  # fmt: skip


def of(outcome: Outcome, action: str) -> list[tuple[int, Kind]]:
    return [(x.item, x.kind) for x in outcome.labelled if x.action == action]


def later(ts: int) -> Click:
    """An event of somebody else, by which time passes."""
    return click("c", ts, user="clock", event_id=f"tick-{ts}")


def test_a_slot_left_alone_is_a_negative_of_each_action_at_that_action_s_own_window() -> None:
    fold = fold_of(POLICY)
    run(fold, exposure("a", "b"), impression("a", "b", request_id="r1"), click("a", 2_000, request_id="r1"))
    minute = run(fold, later(2 * MINUTE))
    assert [(x.action, x.item, x.kind) for x in minute.labelled] == [("click", 1, Kind.NEGATIVE)]
    ten = run(fold, later(12 * MINUTE))
    assert of(ten, "like") == of(ten, "dislike") == [(0, Kind.NEGATIVE), (1, Kind.NEGATIVE)]
    assert of(ten, "click") == of(ten, "purchase") == []
    assert run(fold, later(2 * DAY)).labelled == []
    assert of(run(fold, later(4 * DAY)), "purchase") == [(0, Kind.NEGATIVE)]


@pytest.mark.parametrize("action", ["like", "dislike"])
def test_an_action_inside_its_window_is_one_positive_of_its_own_and_says_nothing_of_clicks(
    action: str,
) -> None:
    fold = fold_of(POLICY)
    run(fold, exposure("a", "b"), impression("a", "b", request_id="r1"))
    told = run(fold, act(action, "a", 30_000, value=0.7))
    assert [(x.action, x.item, x.kind, x.value) for x in told.labelled] == [(action, 0, Kind.POSITIVE, 0.7)]
    assert of(run(fold, later(2 * MINUTE)), "click") == [(0, Kind.NEGATIVE), (1, Kind.NEGATIVE)]
    assert of(run(fold, later(12 * MINUTE)), action) == [(1, Kind.NEGATIVE)]


def test_an_action_after_its_window_corrects_its_own_negative() -> None:
    fold = fold_of(POLICY)
    run(fold, exposure("a"), impression("a", request_id="r1"))
    run(fold, later(12 * MINUTE))
    assert of(run(fold, act("like", "a", 13 * MINUTE)), "like") == [(0, Kind.CORRECTION)]


def test_a_purchase_two_days_after_the_click_is_a_positive_and_the_slate_is_gone_but_for_that_slot() -> None:
    fold = fold_of(POLICY)
    run(fold, exposure("a", "b", "c"), impression("a", "b", "c", request_id="r1"))
    run(fold, click("b", 2_000, request_id="r1"))
    run(fold, later(2 * MINUTE))
    run(fold, click("c", 2 * HOUR))  # the user is back: what need not wait is let go
    (left,) = fold.users["u"].pending.values()
    assert (left.items, left.positions, left.trimmed) == ([1], [1], True)
    told = run(fold, act("purchase", "b", 2 * DAY, request_id=None))  # a checkout knows no request
    assert of(told, "purchase") == [(1, Kind.POSITIVE)]
    assert told.labelled[0].features.tolist() == [1.0, 1.0]
    assert of(run(fold, later(4 * DAY)), "purchase") == []


def test_a_purchase_of_what_was_never_clicked_teaches_nothing_and_is_counted() -> None:
    fold = fold_of(POLICY)
    run(fold, exposure("a", "b"), impression("a", "b", request_id="r1"), click("a", 2_000, request_id="r1"))
    told = run(fold, act("purchase", "b", 3_000))
    assert told.labelled == []
    assert told.stats["actions_without_exposure"] == 1


def test_a_purchase_after_three_days_corrects_within_the_hour_and_later_only_counts() -> None:
    for late, kinds in ((3 * DAY + HOUR // 2, [Kind.CORRECTION]), (3 * DAY + 2 * HOUR, [])):
        fold = fold_of(POLICY)
        run(fold, exposure("a"), impression("a", request_id="r1"), click("a", 2_000, request_id="r1"))
        run(fold, later(3 * DAY + MINUTE))
        told = run(fold, act("purchase", "a", late))
        assert [kind for _, kind in of(told, "purchase")] == kinds
        assert fold.users["u"].record.counts["purchase"] == 1


def test_what_waits_survives_a_restart() -> None:
    first = fold_of(POLICY)
    done = [
        run(
            first,
            exposure("a", "b"),
            impression("a", "b", request_id="r1"),
            click("b", 2_000, request_id="r1"),
        ),
        run(first, later(2 * MINUTE)),
        run(first, click("c", 2 * HOUR)),
    ]
    second = fold_of(POLICY)
    due = {w[k + 1]: w[k] for o in done for w in written(o, "ZADD", "due") for k in range(2, len(w), 2)}
    for outcome in done:
        for write in written(outcome, "ZREM", "due"):
            for member in write[2:]:
                due.pop(member, None)
    second.restore(due.items(), first.watermark)
    second.admit("u", (None, stored_pending(done), None, {}))
    (mine,), (loaded,) = (fold.users["u"].pending.values() for fold in (first, second))
    assert labels_wire.encode(loaded) == labels_wire.encode(mine)
    assert loaded.others == mine.others != {}
    second.admit("clock", (None, {}, None, {}))
    assert of(run(second, later(4 * DAY)), "purchase") == [(1, Kind.NEGATIVE)]


def test_windows_opened_before_actions_had_their_own_close_as_clicks_do() -> None:
    fold = fold_of(POLICY)
    outcome = run(fold, exposure("a"), impression("a", request_id="r1"))
    again = fold_of(POLICY)
    again.restore([(b'["u","r1"]', 61_000.0)], 0)
    again.admit("u", (None, stored_pending([outcome]), None, {}))
    assert [(x.action, x.kind) for x in again.fold([], {}, 2 * MINUTE).labelled] == [("click", Kind.NEGATIVE)]


def test_slates_beyond_those_that_can_wait_leave_what_was_clicked_and_of_that_no_more_than_as_many() -> None:
    fold = fold_of(FoldPolicy(actions=ACTIONS, windows=POLICY.windows, pending_max=2))
    overflow = 0
    for k in range(6):
        name, ts = f"r{k}", 1_000 * k
        outcome = run(
            fold, exposure("a", "b", request_id=name, ts=ts), impression("a", "b", request_id=name, ts=ts),
            click("b", ts, request_id=name),
        )  # fmt: skip
        overflow += outcome.stats["pending_overflow"]
    held = fold.users["u"].pending
    assert [(name, p.trimmed, len(p.items)) for name, p in held.items()] == [
        ("r2", True, 1), ("r3", True, 1), ("r4", False, 2), ("r5", False, 2)
    ]  # fmt: skip
    assert overflow == 4 + 2


def test_what_waits_for_days_is_less_than_a_seventh_of_a_slate() -> None:
    names, width = [f"i{k}" for k in range(20)], 45
    features = base64.b64encode(np.ones((20, width), dtype="<f2").tobytes()).decode()
    served = dataclasses.replace(
        exposure(*names), request_id="auto-" + "0" * 32, features=features, feature_schema="c2-000000000000"
    )
    pending = from_exposure(served, {name: k for k, name in enumerate(names)})
    whole = len(labels_wire.encode(pending))
    pending.show(3, 0, 3 * DAY, "purchase")
    assert pending.trim(0)
    assert len(labels_wire.encode(pending) + labels_wire.encode_others(pending)) < whole / 7
    assert pending.items == [3]


def test_a_stored_slate_is_kept_for_its_longest_window_and_a_plain_one_for_an_hour() -> None:
    fold = fold_of(POLICY)
    plain = run(fold, exposure("a", "b"))
    clicked = run(fold, click("a", 2_000, request_id="r1"))
    assert [w[2] for w in written(plain, "PEXPIRE", ":x:u")] == [HOUR]
    assert [w[2] for w in written(clicked, "PEXPIRE", ":x:u")] == [3 * DAY + HOUR]


def test_a_slate_given_again_under_its_id_does_not_keep_the_windows_of_the_one_before() -> None:
    fold = fold_of(POLICY)
    first = run(fold, exposure("a"), click("a", 2_000, request_id="r1"))
    again = run(fold, dataclasses.replace(exposure("a", "b", ts=3_000), event_id="x-again"))
    mine = fold.users["u"]
    loaded = UserState.load("u", mine.keys, None, stored_pending([first, again]), None, {})
    assert loaded.pending["r1"].others == {}


def test_of_a_deleted_user_no_window_is_left_that_would_name_them_for_days() -> None:
    fold = fold_of(POLICY)
    opened = run(fold, exposure("a"), impression("a", request_id="r1"), click("a", 2_000, request_id="r1"))
    gone = run(fold, Privacy(type="privacy", event_id="d", user_id="u", ts=3_000, request="deletion"))
    named = {w[k + 1] for w in written(opened, "ZADD", "due") for k in range(2, len(w), 2)}
    assert named == {member for w in written(gone, "ZREM", "due") for member in w[2:]}
    assert len(named) == 4
    assert run(fold, later(4 * DAY)).labelled == []


def test_past_the_day_cap_impressions_open_no_windows() -> None:
    fold = fold_of(FoldPolicy(actions=ACTIONS, events_per_day=1))
    run(fold, exposure("a"), click("c", 600), impression("a", request_id="r1"))
    assert run(fold, later(2 * MINUTE)).labelled == []


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ({"click": Window(5)}, "other than click"),
        ({"share": Window(5)}, "declared action"),
        ({"like": Window(2 * HOUR)}, "only after a click"),
    ],
)
def test_a_window_that_could_not_hold_is_refused(windows: dict[str, Window], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FoldPolicy(actions=ACTIONS, windows=windows)


def test_labels_of_other_actions_neither_reach_the_click_head_nor_its_watch() -> None:
    of_clicks, of_both = learner(), learner()
    seen: list[Labelled] = []

    class Watch:
        def observe(self, label: Labelled, predicted: float) -> None:
            seen.append(label)

    of_both.watch = Watch()
    row = np.ones(len(of_both.features), dtype=np.float32)
    clicks = [Labelled(k, Kind(k % 2), row, of_both.schema, 0, "home", 0.1, 1.0, ts=k) for k in range(10)]
    likes = [
        Labelled(k, Kind.POSITIVE, row, of_both.schema, 0, "home", 0.1, 1.0, ts=k, action="like")
        for k in range(10)
    ]
    of_clicks.learn(Outcome(labelled=clicks))
    of_both.learn(Outcome(labelled=[x for pair in zip(clicks, likes, strict=True) for x in pair]))
    assert np.array_equal(of_both.ranker.optimizer.weights, of_clicks.ranker.optimizer.weights)
    assert {label.action for label in seen} == {"click"}
