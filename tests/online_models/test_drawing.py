"""What a slot is drawn by: the compiled loops against numpy's own words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.kernels.drawing import softmax, stepped

Scores = st.lists(
    st.one_of(st.floats(-50, 50), st.sampled_from([float("inf"), float("-inf"), float("nan")])),
    min_size=1,
    max_size=40,
)


@given(Scores, st.floats(0.05, 10.0), st.floats(0.0, 1.0), st.data())
def test_a_softmax_with_a_uniform_floor_over_those_eligible(
    scores: list[float], temperature: float, floor: float, data: st.DataObject
) -> None:
    n = len(scores)
    eligible = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=np.intp)
    found = softmax(np.array(scores), eligible, temperature, floor)
    values = np.array(scores)[eligible]
    values = np.where(np.isfinite(values), values, -np.inf)
    some = np.isfinite(values).any()
    raised = np.exp((values - values.max()) / temperature) if some else np.ones(len(values))
    wanted = (1 - floor) * raised / raised.sum() + floor / len(eligible)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-300)
    assert abs(found.sum() - 1.0) < 1e-9


@given(st.lists(st.floats(-1.0, 2.0), max_size=40), st.sampled_from([15.0, 255.0]))
def test_likeness_is_rounded_to_the_steps_that_are_logged(nearest: list[float], steps: float) -> None:
    likeness, logged = stepped(np.array(nearest, dtype=np.float64), steps)
    wanted = np.rint(np.clip(np.array(nearest, dtype=np.float64), 0.0, 1.0) * steps)
    assert logged.tolist() == wanted.astype(np.uint8).tolist()
    assert likeness.tolist() == (wanted / steps).tolist()
