"""Clicks before their impression, hours late, twice, or of slates nobody served: each has its outcome, and one only."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import numpy as np
import pytest

from online_models.base import Query
from online_models.events import Identify
from online_models.fold_policy import FoldPolicy
from online_models.labels import Kind
from online_models.model import Model
from tests.online_models.test_state import click, exposure, fold_of, impression, run

MINUTE, HOUR = 60_000, 3_600_000


def test_a_click_before_its_impression_is_one_positive_and_leaves_no_negative() -> None:
    fold = fold_of()
    first = run(fold, exposure("a"), click("a", 2_000, request_id="r1"))
    seen = run(fold, impression("a", ts=3_000, request_id="r1"))
    later = run(fold, click("c", 2 * MINUTE))
    assert [x.kind for x in first.labelled] == [Kind.POSITIVE]
    assert seen.labelled == later.labelled == []


# an exposure is in the log before its slate is answered, so no click can come before it
@pytest.mark.parametrize("order", [o for o in permutations(range(3)) if o.index(0) < o.index(2)])
def test_in_whatever_order_an_impression_and_a_click_arrive_nothing_is_left_that_says_no(order) -> None:  # type: ignore[no-untyped-def]
    events = [exposure("a"), impression("a", request_id="r1"), click("a", 2_000, request_id="r1")]
    fold = fold_of()
    told = run(fold, *[events[k] for k in order]).labelled + run(fold, click("c", 2 * MINUTE)).labelled
    kinds = [x.kind for x in told if x.item == 0]
    assert kinds.count(Kind.NEGATIVE) == 0
    assert len(kinds) <= 1


def test_a_click_within_the_hour_corrects_and_one_after_its_slate_is_forgotten_only_counts() -> None:
    fold = fold_of()
    run(fold, exposure("a", "b"), impression("a", "b", request_id="r1"))
    run(fold, click("c", 2 * MINUTE))
    soon = run(fold, click("a", 30 * MINUTE, request_id="r1"))
    assert [x.kind for x in soon.labelled] == [Kind.CORRECTION]
    hours = run(fold, click("b", 5 * HOUR, request_id="r1"))
    assert hours.labelled == []
    assert hours.stats["actions_without_exposure"] == 1
    assert [x.item for x in hours.interactions] == [1]  # it is of use all the same
    assert fold.users["u"].record.recent_items[-1] == 1


def test_an_impression_of_a_slate_never_served_is_counted_and_opens_no_window() -> None:
    fold = fold_of()
    outcome = run(fold, impression("a", "b", request_id="nobody's"), impression("c", ts=2_000))
    assert outcome.stats["impressions_without_exposure"] == 3
    assert fold.users["u"].record.counts == {"impression": 3}
    assert run(fold, click("c", 2 * HOUR)).labelled == []


def test_a_slate_served_and_never_seen_teaches_nothing() -> None:
    fold = fold_of()
    run(fold, exposure("a", "b"))
    assert run(fold, click("c", 2 * MINUTE)).labelled == []
    assert run(fold, click("c", 3 * HOUR)).labelled == []


@pytest.mark.parametrize(
    "event", [exposure("a"), impression("a", request_id="r1"), click("a", 2_000, request_id="r1")]
)
def test_any_event_sent_twice_has_no_second_effect(event) -> None:  # type: ignore[no-untyped-def]
    once, twice = fold_of(), fold_of()
    for fold, times in ((once, 1), (twice, 3)):
        run(fold, *[x for x in (exposure("a"), impression("a", request_id="r1")) if x != event])
        outcome = run(fold, *[event] * times)
        assert outcome.stats["duplicates"] == times - 1
        run(fold, click("c", 2 * MINUTE))
    assert twice.users["u"].record == once.users["u"].record
    assert {k: p.items for k, p in twice.users["u"].pending.items()} == {
        k: p.items for k, p in once.users["u"].pending.items()
    }


def test_an_exposure_whose_features_do_not_fit_is_counted_and_its_click_teaches_no_click_model() -> None:
    fold = fold_of()
    broken = dataclasses.replace(exposure("a", "b"), features="AAAA")
    assert run(fold, broken).stats["exposures_unreadable"] == 1
    outcome = run(fold, click("a", 2_000, request_id="r1"))
    assert (outcome.labelled, len(outcome.interactions)) == ([], 1)


def test_a_session_nobody_knows_is_counted_and_changes_nothing() -> None:
    fold = fold_of()
    run(fold, click("a"))
    event = Identify(type="identify", event_id="m", user_id="u", ts=2_000, anonymous_id="gone")
    outcome = run(fold, event)
    assert outcome.stats["identify_unknown"] == 1
    assert fold.users["u"].record.recent_items == [0]


def test_past_the_day_cap_nothing_shared_learns_from_labels_either_and_the_next_day_it_does() -> None:
    fold = fold_of(FoldPolicy(events_per_day=1))
    run(fold, exposure("a"))
    outcome = run(fold, click("b", 1_000), click("a", 2_000, request_id="r1"))
    assert outcome.labelled == []
    assert [x.item for x in outcome.interactions] == [1]
    assert [x.item for x in run(fold, click("c", 25 * HOUR)).interactions] == [2]


def test_after_one_click_folded_a_new_user_is_recommended_what_goes_with_it() -> None:
    fold, model = fold_of(), Model()
    for k in range(20):
        for x in run(
            fold, click("a", 1_000 + k, user=f"u{k}"), click("b", 2_000 + k, user=f"u{k}")
        ).interactions:
            model.learn_one(x)
    run(fold, click("a", 9_000, user="new"))
    record = fold.users["new"].record
    assert record.recent_items == [0]
    c = model.candidates(
        Query(99, (0,), (9_000,), now=9_001), exclude=np.array(record.recent_items, dtype=np.int32)
    )
    assert c.ids[int(model.order(c).argmax())] == 1
