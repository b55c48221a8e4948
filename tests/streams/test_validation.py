"""The boundary: every record is an event or is refused by a reason that names the field and the mend."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.events import Action, Click, Impression
from streams import validation
from streams.validation import Rejected, Rules
from tests.support.mutations import mutated

NOW = 1_700_000_000_000
RULES = Rules(actions=frozenset({"click", "purchase"}))
REASONS = {"empty", "too_large", "json", "field", "schema", "action", "future"}


def click(**changes):
    return orjson.dumps(
        {"type": "click", "event_id": "e", "user_id": "u", "ts": NOW, "item_id": "i"} | changes
    )


def judge(raw, appended=NOW):
    return validation.event(raw, appended, RULES)


def test_a_click_is_a_click():
    event = judge(click())
    assert isinstance(event, Click)
    assert (event.user_id, event.item_id, event.action) == ("u", "i", "click")


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        (None, "empty", ""),
        (b"", "empty", ""),
        (b"{", "json", ""),
        (b"\xff\xfe{}", "json", ""),
        (click(ts=float(NOW)), "field", "ts"),
        (click(ts=str(NOW)), "field", "ts"),
        (click(ts=NOW + 60_001), "future", "ts"),
        (click(ts=-1), "field", "ts"),
        (click(item_id=""), "field", "item_id"),
        (click(item_id=7), "field", "item_id"),
        (click(user_id="x" * 257), "field", "user_id"),
        (click(type="wink"), "field", "type"),
        (click(v=2), "schema", "v"),
        (click(v="1"), "schema", "v"),
        (click(v=True), "schema", "v"),
        (click(type="action", action="wink"), "action", "action"),
        (click(type="action", action="purchase", value=1e12), "field", "value"),
        (click(type="impression", items=[]), "field", "items"),
        (click(type="impression", items=[{"item_id": "i", "position": -1}]), "field", "items.0.position"),
        (click(context={"blob": "x" * 1_100_000}), "too_large", ""),
        (click().replace(b"1700000000000", b"NaN"), "json", ""),
        (click(context={"a": 0.5}).replace(b"0.5", b"NaN"), "json", ""),
        (click(context={"a": 0.5}).replace(b"0.5", b"-Infinity"), "json", ""),
        (click(context={"a": "x"}).replace(b'"x"', b'"\\ud800"'), "json", ""),
        (click(item_id="x").replace(b'"x"', b'"\xff"'), "json", ""),
    ],
)
def test_bad_input_is_refused_with_its_reason_and_field(raw, reason, field):
    refused = judge(raw)
    assert isinstance(refused, Rejected), refused
    assert (refused.reason, refused.field) == (reason, field)
    assert refused.detail


def test_an_event_of_years_ago_is_late_not_wrong():
    assert isinstance(judge(click(ts=0)), Click)


def test_unknown_fields_are_let_through():
    assert isinstance(judge(click(new_field={"a": 1})), Click)


def test_a_declared_action_and_an_impression_pass():
    assert isinstance(judge(click(type="action", action="purchase", value=2)), Action)
    assert isinstance(judge(click(type="impression", items=[{"item_id": "i"}])), Impression)


def test_of_ten_thousand_broken_records_each_is_an_event_or_refused_with_a_reason():
    verdicts = [judge(raw) for raw in mutated(seed=7, n=10_000)]
    refused = [v for v in verdicts if isinstance(v, Rejected)]
    assert {v.reason for v in refused} == REASONS
    assert all(v.detail and len(v.detail) < 2_000 for v in refused)
    assert 2_000 < len(refused) < 9_500


def test_one_pass_and_two_judge_alike():
    for raw in mutated(seed=11, n=5_000):
        quick = validation._at_once(raw, RULES)
        assert quick is None or quick == validation._parse(validation._EVENT, raw, RULES)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise(raw):
    judge(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["type", "ts", "user_id", "item_id", "event_id", "items", "v"]), JSON))
def test_no_json_whatever_raises(value):
    judge(orjson.dumps(value))


@pytest.mark.parametrize(("value", "refused"), [(0.0, False), (1.0, False), (1.01, True), (-0.1, True)])
def test_the_share_that_was_watched_lies_between_0_and_1(value: float, refused: bool) -> None:
    told = {"type": "action", "event_id": "e", "user_id": "u", "ts": 5, "item_id": "i", "action": "watch"}
    got = validation.event(orjson.dumps({**told, "value": value}), 5, Rules(actions=frozenset({"watch"})))
    assert isinstance(got, Rejected) == refused
    if isinstance(got, Rejected):
        assert (got.reason, got.field) == ("field", "value")
