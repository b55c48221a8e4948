"""Exposure, impression and action joined: what becomes a positive, a negative, a correction, or nothing."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.events import Exposure, Slot
from online_models.labels import Kind, from_exposure
from online_models.labels_wire import PendingCorrupt, decode, encode

WINDOW = 60_000


def slate(*items: str):
    features = np.arange(len(items) * 3, dtype="<f2").reshape(len(items), 3)
    event = Exposure(
        type="exposure",
        event_id="x1",
        user_id="u",
        ts=1_000,
        request_id="r1",
        items=[Slot(item, k, propensity=0.5, probability=0.1) for k, item in enumerate(items)],
        features=base64.b64encode(features.tobytes()).decode(),
        feature_schema="s1",
    )
    return from_exposure(event, {item: k + 10 for k, item in enumerate(items)})


def test_a_click_inside_the_window_is_a_positive_with_the_features_as_served():
    pending = slate("a", "b")
    pending.show(10, 2_000, WINDOW)
    label = pending.act(11, 3_000)
    assert label.kind is Kind.POSITIVE
    assert label.features.tolist() == [3, 4, 5]


def test_a_slot_seen_and_left_alone_is_a_negative_when_its_window_closes():
    pending = slate("a", "b", "c")
    pending.show(10, 2_000, WINDOW)
    pending.show(11, 2_000, WINDOW)
    pending.act(11, 3_000)
    assert pending.click.due == 62_000
    assert [(x.item, x.kind) for x in pending.close()] == [(10, Kind.NEGATIVE)]


def test_a_slot_never_seen_is_never_a_negative():
    assert slate("a", "b").close() == []


def test_a_window_closes_once():
    pending = slate("a")
    pending.show(10, 2_000, WINDOW)
    assert len(pending.close()) == 1
    assert pending.close() == []


def test_a_late_click_corrects_the_negative_it_comes_after():
    pending = slate("a")
    pending.show(10, 2_000, WINDOW)
    pending.close()
    assert pending.act(10, 90_000).kind is Kind.CORRECTION


def test_a_click_before_its_impression_leaves_no_negative_behind():
    pending = slate("a")
    assert pending.act(10, 2_000).kind is Kind.POSITIVE
    pending.show(10, 3_000, WINDOW)
    assert pending.close() == []


def test_a_second_click_on_the_same_slot_teaches_nothing():
    pending = slate("a")
    pending.act(10, 2_000)
    assert pending.act(10, 2_500) is None


def test_an_item_outside_the_slate_is_not_of_it():
    pending = slate("a")
    assert not pending.show(99, 2_000, WINDOW)
    assert pending.act(99, 2_000) is None


def test_features_that_do_not_fit_the_slots_are_refused_by_name():
    event = Exposure(
        type="exposure", event_id="x", user_id="u", ts=1, request_id="r", items=[Slot("a", 0), Slot("b", 1)],
        features=base64.b64encode(b"\0\0" * 3).decode(),
    )  # fmt: skip
    with pytest.raises(ValueError, match="features"):
        from_exposure(event, {"a": 0, "b": 1})


@given(n=st.integers(1, 30), shown=st.integers(0, 2**30), rid=st.text(max_size=50))
def test_a_pending_request_reads_back_as_it_was_written(n, shown, rid):
    pending = slate(*[f"i{k}" for k in range(n)])
    pending.request_id, pending.click.opened, pending.click.due = rid, shown, 5
    again = decode(encode(pending))
    assert encode(again) == encode(pending)
    assert (again.items, again.click.opened, again.request_id) == (pending.items, shown, rid)


@given(st.binary(max_size=120))
def test_damaged_bytes_are_refused_with_their_own_error(raw):
    with pytest.raises(PendingCorrupt):
        decode(b"\x09" + raw)


def test_what_a_request_was_part_of_stands_on_its_labels():
    event = Exposure(
        type="exposure", event_id="x", user_id="u", ts=1, request_id="r", items=[Slot("a", 0), Slot("b", 1)],
        context={"swapped": 0, "variant": "ranking:e/b"},
    )  # fmt: skip
    pending = decode(encode(from_exposure(event, {"a": 0, "b": 1})))
    label = pending.act(1, 2_000, user=7)
    assert (label.swapped, label.variant, label.user) == (0, "ranking:e/b", 7)


@pytest.mark.parametrize("context", [{}, {"swapped": "x", "variant": 3}, {"swapped": -1}, {"swapped": True}])
def test_a_context_that_says_nothing_of_use_reads_as_none(context):
    event = Exposure(
        type="exposure", event_id="x", user_id="u", ts=1, request_id="r", items=[], context=context
    )
    pending = decode(encode(from_exposure(event, {})))
    assert (pending.swapped, pending.variant) == (None, "")


def test_a_request_written_before_swaps_were_kept_is_read():
    raw = bytearray(encode(slate("a", "b")))
    raw[0] = 1
    assert (decode(bytes(raw)).swapped, decode(bytes(raw)).variant) == (None, "")
