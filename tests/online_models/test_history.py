"""A user's record: what it remembers, in which order, and that Redis gives back what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.base import RECENT
from online_models.history import RecordCorrupt, UserRecord, decode, encode

ITEMS = st.integers(0, 0xFFFFFF)
SECONDS = st.integers(1_700_000_000, 1_700_000_000 + 180 * 86_400)


def test_a_late_action_takes_its_place_in_order_of_time():
    record = UserRecord()
    for item, ts in [(1, 10_000), (3, 30_000), (2, 20_000)]:
        record.act(item, ts)
    assert record.recent_items == [1, 2, 3]


def test_what_falls_out_of_the_recent_items_is_still_known_as_acted_on():
    record = UserRecord()
    for item in range(RECENT + 10):
        record.act(item, item * 1_000)
    assert record.acted(0)
    assert len(record.recent_items) == RECENT
    assert record.acted_items() == set(range(RECENT + 10))


def test_the_seen_set_forgets_its_oldest_items_first():
    record = UserRecord()
    for item in range(RECENT + 10):
        record.act(item, item * 1_000, seen_max=4)
    assert sorted(record.older) == [6, 7, 8, 9]


def test_the_day_cap_counts_anew_each_day():
    record = UserRecord()
    assert [record.spend(1_000, limit=2) for _ in range(3)] == [True, True, False]
    assert record.spend(86_400_000 + 1, limit=2)


def test_a_merged_session_brings_its_history_and_its_vetoes():
    user, session = UserRecord(), UserRecord()
    user.act(1, 10_000)
    session.act(2, 5_000)
    session.veto("tag:war")
    user.merge(session)
    assert user.recent_items == [2, 1]
    assert user.vetoes == {"tag:war"}


STEPS = st.one_of(
    st.tuples(st.just("act"), ITEMS, SECONDS),
    st.tuples(st.just("pass_over"), ITEMS),
    st.tuples(st.just("see"), ITEMS),
    st.tuples(st.just("merge"), ITEMS, SECONDS),
)


@given(st.lists(STEPS, max_size=20))
def test_what_is_written_after_each_step_is_what_a_record_never_written_before_would_be(steps):
    often, once = UserRecord(), UserRecord()
    for name, *given_ in steps:
        for record in (often, once):
            if name == "merge":
                other = UserRecord()
                other.act(given_[0], given_[1] * 1_000)
                record.merge(other)
            elif name == "act":
                record.act(given_[0], given_[1] * 1_000)
            else:
                getattr(record, name)(*given_)
        encode(often)
    assert encode(often) == encode(once)


@given(
    actions=st.lists(st.tuples(ITEMS, SECONDS), max_size=120),
    counts=st.dictionaries(st.text(min_size=1, max_size=20), st.integers(0, 2**32 - 1), max_size=5),
    vetoes=st.sets(st.sampled_from(["item:1", "tag:war", "provider:ü"])),
    group=st.text(max_size=20),
)
def test_a_record_reads_back_as_it_was_written(actions, counts, vetoes, group):
    record = UserRecord(counts=counts, vetoes=vetoes, group=group, windows={7: (1.5, 0.1)})
    for item, second in actions:
        record.act(item, second * 1_000)
    assert decode(encode(record)) == record


@given(st.binary(max_size=200))
def test_damaged_bytes_are_refused_with_their_own_error(raw):
    try:
        decode(raw)
    except RecordCorrupt:
        return
    assert len(raw) >= 20


def test_a_record_of_another_version_is_refused_by_name():
    with pytest.raises(RecordCorrupt, match="version 9"):
        decode(b"\x09" + encode(UserRecord())[1:])
