"""Tables in memory of their own behave as numpy's do."""

from __future__ import annotations

import numpy as np

from online_models.tables import sparse, taller


def test_a_large_table_is_zeros_that_can_be_written_and_outlives_the_one_it_was_taken_from() -> None:
    table = sparse((1_000, 700), np.float32)
    assert table.shape == (1_000, 700) and not table.any()
    table[::7, 3] = np.arange(143)
    grown = taller(table, 500, np.arange(0, 1_000, 7))
    want = np.concatenate([table, np.zeros((500, 700), dtype=np.float32)])
    del table
    np.testing.assert_array_equal(grown, want)
    assert grown.dtype == np.float32 and grown.flags.c_contiguous and grown.flags.writeable
