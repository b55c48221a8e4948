"""What workers tell each other reads back as it was said, and harm is refused."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.base import Interaction
from online_models.deltas import Delta, decode, encode, pack, unpack
from online_models.errors import DeltaRefused

INTERACTIONS = st.builds(
    lambda user, item, ts, recent: Interaction(
        user, item, ts, tuple(recent), tuple(ts - 1_000 * k for k in range(len(recent))), 0.5
    ),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**24),
    st.integers(10**12, 2 * 10**12),
    st.lists(st.integers(0, 2**24), max_size=50),
)


@given(st.lists(INTERACTIONS, max_size=8))
def test_a_delta_reads_back_as_it_was_said(interactions):
    delta = Delta("w1", 3, tuple(interactions), {"o": {"g": np.ones(3)}}, {2: (1, 4, 9)})
    again = decode(encode(delta))
    assert again.interactions == delta.interactions
    assert again.spans == delta.spans
    assert again.learners["o"]["g"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_refused(bad):
    raw = encode(Delta("w1", 1, learners={"o": {"g": np.array([bad])}}))
    with pytest.raises(DeltaRefused, match="not finite"):
        decode(raw)


def test_an_array_of_objects_is_refused_before_it_is_read():
    packed = pack({"w": np.zeros(1)})
    packed["w"]["dtype"] = "|O"
    with pytest.raises(DeltaRefused, match="not accepted"):
        unpack(packed)


JSON = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(JSON.map(orjson.dumps) | st.binary(max_size=60))
def test_anything_else_is_refused_with_its_own_error(raw):
    with pytest.raises(DeltaRefused):
        decode(raw)
