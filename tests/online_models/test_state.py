"""The fold of one partition: a tiny world, event by event, and what it writes."""

import base64
import dataclasses

import numpy as np
import pytest

from online_models import labels_wire
from online_models.events import Action, Click, Exposure, Identify, Impression, Privacy, Profile, Shown, Slot
from online_models.fold_policy import FoldPolicy
from online_models.history import UserRecord, decode, encode
from online_models.labels import Kind
from online_models.state import MOST_GROUPS, PartitionFold, Timed
from online_models.userstate import UserState

INTS = {"a": 0, "b": 1, "c": 2}
POLICY = FoldPolicy(actions={"click": 1.0, "purchase": 5.0, "not_interested": -1.0})


def fold_of(policy=POLICY):
    return PartitionFold("t:{0}:", policy)


def run(fold, *events, watermark=0, merged=None):
    timed = [Timed(e, e.ts) for e in events]
    mark = max(fold.expected_watermark(timed), watermark)
    for user in fold.missing(timed, mark):
        fold.admit(user, (None, {}, None, {}))
    return fold.fold(timed, INTS, mark, merged)


def click(item, ts=1_000, user="u", event_id=None, request_id=None):
    return Click(
        type="click",
        event_id=event_id or f"c-{item}-{ts}",
        user_id=user,
        ts=ts,
        item_id=item,
        request_id=request_id,
    )


def impression(*items, ts=1_000, user="u", request_id=None, event_id=None):
    return Impression(
        type="impression", event_id=event_id or f"i-{ts}", user_id=user, ts=ts,
        items=[Shown(item, k) for k, item in enumerate(items)], request_id=request_id,
    )  # fmt: skip


def exposure(*items, ts=500, user="u", request_id="r1"):
    features = np.ones((len(items), 2), dtype="<f2")
    return Exposure(
        type="exposure", event_id=f"x-{request_id}", user_id=user, ts=ts, request_id=request_id,
        items=[Slot(item, k) for k, item in enumerate(items)],
        features=base64.b64encode(features.tobytes()).decode(), feature_schema="s",
    )  # fmt: skip


def written(outcome, command, suffix):
    return [w for w in outcome.writes if w[0] == command and str(w[1]).endswith(suffix)]


def test_a_click_is_remembered_counted_and_owed_a_slate():
    outcome = run(fold_of(), click("a"))
    (write,) = written(outcome, "SET", ":u:u")
    record = decode(write[2])
    assert record.recent_items == [0]
    assert record.counts == {"click": 1}
    assert outcome.acted == {"u": (1_000, "c-a-1000")}
    assert written(outcome, "ZADD", "dirty") == [("ZADD", "t:{0}:dirty", 1_000, "u")]


def test_what_is_learnt_from_a_click_is_what_came_before_it():
    outcome = run(fold_of(), click("a", 1_000), click("b", 2_000))
    assert [(x.item, x.recent) for x in outcome.interactions] == [(0, ()), (1, (0,))]


def test_the_same_event_twice_has_no_second_effect():
    fold = fold_of()
    run(fold, click("a", event_id="e"))
    outcome = run(fold, click("a", event_id="e"))
    assert outcome.stats["duplicates"] == 1
    assert not outcome.interactions
    assert fold.users["u"].record.counts == {"click": 1}


def test_an_impression_left_alone_is_a_negative_once_the_watermark_has_passed_its_window():
    fold = fold_of()
    run(fold, exposure("a", "b"), impression("a", "b", request_id="r1"))
    assert run(fold, click("c", 40_000)).labelled == []
    outcome = run(fold, click("c", 70_000))
    assert [(x.item, x.kind) for x in outcome.labelled] == [(0, Kind.NEGATIVE), (1, Kind.NEGATIVE)]


def test_a_click_inside_its_window_leaves_one_positive_and_no_negative():
    fold = fold_of()
    first = run(fold, exposure("a"), impression("a", request_id="r1"), click("a", 2_000, request_id="r1"))
    later = run(fold, click("c", 90_000))
    assert [x.kind for x in first.labelled] == [Kind.POSITIVE]
    assert later.labelled == []


def test_a_late_click_corrects_and_counts_no_further_impression():
    fold = fold_of()
    run(fold, exposure("a"), impression("a", request_id="r1"))
    run(fold, click("c", 90_000))
    outcome = run(fold, click("a", 95_000, request_id="r1"))
    assert [x.kind for x in outcome.labelled] == [Kind.CORRECTION]
    assert fold.users["u"].record.counts == {"impression": 1, "click": 2}


def test_a_click_of_a_slate_never_served_counts_but_teaches_the_click_model_nothing():
    outcome = run(fold_of(), click("a", request_id="unknown"))
    assert outcome.labelled == []
    assert outcome.stats["actions_without_exposure"] == 1
    assert len(outcome.interactions) == 1


def test_a_click_that_names_no_request_answers_the_newest_slate_with_the_item():
    outcome = run(fold_of(), exposure("a"), exposure("a", "b", request_id="r2"), click("b"))
    assert [x.kind for x in outcome.labelled] == [Kind.POSITIVE]


def test_not_interested_vetoes_and_is_no_positive():
    fold = fold_of()
    event = Action(
        type="action", event_id="n", user_id="u", ts=1, item_id="a", action="not_interested",
        context={"veto": ["tag:war", 7, "nonsense"]},
    )  # fmt: skip
    outcome = run(fold, event)
    assert fold.users["u"].record.vetoes == {"item:a", "tag:war"}
    assert not outcome.interactions
    assert outcome.acted == {"u": (1, "n")}  # a slate without it is owed at once


def test_what_is_disliked_is_done_with_and_no_part_of_the_history():
    fold = fold_of()
    event = Action(type="action", event_id="n", user_id="u", ts=1, item_id="a", action="dislike")
    run(fold, event)
    record = decode(encode(fold.users["u"].record))
    assert record.acted(INTS["a"])
    assert not record.recent_items


def test_past_the_day_cap_only_the_user_s_own_history_is_fed():
    fold = fold_of(FoldPolicy(events_per_day=1))
    outcome = run(fold, click("a", 1_000), click("b", 2_000))
    assert len(outcome.interactions) == 1
    assert fold.users["u"].record.recent_items == [0, 1]
    assert outcome.stats["over_day_cap"] == 1


def test_more_slates_than_can_wait_drop_the_oldest_and_are_counted():
    fold = fold_of(FoldPolicy(pending_max=2))
    outcome = run(fold, *[exposure("a", request_id=f"r{k}", ts=k) for k in range(4)])
    assert list(fold.users["u"].pending) == ["r2", "r3"]
    assert outcome.stats["pending_overflow"] == 2


def test_a_deleted_user_leaves_nothing_but_a_receipt():
    fold = fold_of()
    run(fold, click("a"), Profile(type="profile", event_id="p", user_id="u", ts=1, group="g"))
    outcome = run(fold, Privacy(type="privacy", event_id="d", user_id="u", ts=2_000, request="deletion"))
    (write,) = written(outcome, "DEL", ":u:u")
    assert len(write) == 6
    assert not written(outcome, "SET", ":u:u")
    assert outcome.receipts[0]["user_id"] == "u"
    assert fold.users["u"].record == UserRecord()


def test_an_anonymous_session_becomes_part_of_the_user():
    session = UserRecord()
    session.act(2, 500)
    fold = fold_of()
    event = Identify(type="identify", event_id="m", user_id="u", ts=2_000, anonymous_id="s1")
    outcome = run(fold, click("a"), event, merged={"s1": session})
    assert fold.users["u"].record.recent_items == [2, 0]
    assert "u" in outcome.acted


def test_a_window_open_at_a_restart_closes_after_it():
    first = fold_of()
    opened = run(first, exposure("a"), impression("a", request_id="r1"))
    second = fold_of()
    due = [(w[3], w[2]) for w in written(opened, "ZADD", "due")]
    second.restore(due, 0)
    assert second.missing([], 100_000) == ["u"]
    (pending,) = written(opened, "HSET", ":x:u")
    (record,) = written(opened, "SET", ":u:u")
    second.admit("u", (record[2], {pending[2].encode(): pending[3]}, None, {}))
    outcome = second.fold([], {}, 100_000)
    assert [x.kind for x in outcome.labelled] == [Kind.NEGATIVE]
    assert written(outcome, "ZREM", "due")


def test_a_published_slate_settles_its_debt_unless_the_user_acted_again():
    fold = fold_of()
    run(fold, click("a", event_id="first"))
    fold.published("u", "first")
    assert written(run(fold, click("b", 2_000, event_id="second")), "ZREM", "dirty") == []
    fold.published("u", "first")  # a slate made before the second click, out after it
    assert written(run(fold), "ZREM", "dirty") == []
    fold.published("u", "second")
    assert written(run(fold), "ZREM", "dirty") == [("ZREM", "t:{0}:dirty", "u")]


def test_a_debt_taken_over_is_settled_by_the_slate_it_caused():
    fold = fold_of()
    fold.restore([], 0, {"u": "0-5-u"})
    fold.published("u", "0-5-u")
    assert written(run(fold), "ZREM", "dirty") == [("ZREM", "t:{0}:dirty", "u")]


def test_no_user_is_called_so_that_a_key_of_theirs_is_a_counter():
    outcome = run(fold_of(), click("a", user="click:0"))  # beside the decayed clicks of landmark 0
    kinds = {(write[1], write[0]) for write in outcome.writes}
    assert ("t:{0}:d:click:0", "HINCRBYFLOAT") in kinds
    assert len(dict(kinds)) == len(kinds), "one key is written as two kinds"


def test_the_watermark_never_goes_back():
    fold = fold_of()
    run(fold, click("a", 100_000))
    run(fold, click("b", 50_000))
    assert fold.watermark == 95_000


def test_a_window_longer_than_its_request_is_kept_is_refused():
    with pytest.raises(ValueError, match="pending_ttl_ms"):
        FoldPolicy(window_ms=10, pending_ttl_ms=5)


def stored_pending(outcomes, suffix=":x:u"):
    """What Redis would hold of a user's pending slates after these commits."""
    held = {}
    for outcome in outcomes:
        for command, key, *args in outcome.writes:
            if str(key).endswith(suffix) and command == "HSET":
                held.update(zip((f.encode() for f in args[::2]), args[1::2], strict=True))
            elif str(key).endswith(suffix) and command == "HDEL":
                for name in args:
                    held.pop(name.encode(), None)
    return held


def test_a_slate_is_stored_once_and_its_marks_as_they_change():
    fold = fold_of()
    first = run(fold, exposure("a", "b", "c"))
    second = run(fold, impression("a", "b", ts=1_000, request_id="r1"))
    third = run(fold, click("b", 2_000, request_id="r1"))
    assert [list(stored_pending([o])) for o in (first, second, third)] == [[b"s:r1"], [b"m:r1"], [b"m:r1"]]
    mine = fold.users["u"]
    loaded = UserState.load("u", mine.keys, None, stored_pending([first, second, third]), None, {})
    assert labels_wire.encode(loaded.pending["r1"]) == labels_wire.encode(mine.pending["r1"])


def test_a_slate_given_again_under_its_id_does_not_keep_the_marks_of_the_one_before():
    fold = fold_of()
    first = run(fold, exposure("a", "b"))
    second = run(fold, impression("a", request_id="r1"))
    again = exposure("b", "c")
    third = run(fold, dataclasses.replace(again, event_id="x-again"))
    mine = fold.users["u"]
    loaded = UserState.load("u", mine.keys, None, stored_pending([first, second, third]), None, {})
    assert labels_wire.encode(loaded.pending["r1"]) == labels_wire.encode(mine.pending["r1"])
    assert loaded.pending["r1"].click.opened == 0


def test_only_users_whose_windows_close_are_loaded_for_it():
    fold = fold_of()
    for k in range(50):
        run(
            fold,
            exposure("a", user=f"u{k}", request_id=f"r{k}"),
            impression("a", ts=1_000 + 97 * k % 50, user=f"u{k}", request_id=f"r{k}"),
        )
    due = [(at, user) for at, user, *_ in fold.windows]
    for mark in (0, 61_010, 61_025, 10**9):
        assert sorted(fold.windows.users_by(mark)) == sorted(user for at, user in due if at <= mark)


def in_group(user, group):
    return Profile(type="profile", event_id=f"p-{user}", user_id=user, ts=1_000, group=group)


def test_what_users_of_a_group_see_and_click_is_counted_for_the_group_and_nobody_else():
    fold = fold_of()
    run(fold, in_group("a", "new"), in_group("b", "old"), impression("a", "b", user="a", ts=2_000))
    out = run(fold, impression("a", user="a", ts=3_000, event_id="i2"), click("a", user="a", ts=4_000),
              click("a", user="c", ts=4_000), impression("a", user="b", ts=5_000))  # fmt: skip
    told = {name: n for name, n in out.stats.items() if name.startswith("group_")}
    assert told == {
        "group_visits_new": 1, "group_impressions_new": 1, "group_clicks_new": 1,
        "group_visits_old": 1, "group_impressions_old": 1,
    }  # fmt: skip


def test_groups_beyond_those_told_apart_count_as_one():
    fold = fold_of()
    users = [f"u{k}" for k in range(MOST_GROUPS + 5)]
    run(fold, *(in_group(user, f"g{k}") for k, user in enumerate(users)))
    out = run(fold, *(impression("a", user=user, ts=2_000) for user in users))
    assert sum(name.startswith("group_visits_") for name in out.stats) == MOST_GROUPS + 1
    assert out.stats["group_visits_(other)"] == 5
