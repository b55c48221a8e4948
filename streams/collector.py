"""Python's collector of cycles, told that a stream makes few cycles and holds many users.

As it comes, it looks through all young objects for every 700 made, and through everything held (hundreds of
thousands of objects, a tenth of a second) whenever a quarter more is held. Memory itself is freed by reference counts.
"""

from __future__ import annotations

import gc

YOUNG = 4_000
"""Objects made, less those freed, between two looks at the young ones; each takes up to three milliseconds.

On a busy machine a look costs 0.8 us an object, and what stays is looked at twice, however often: with 20,000 the loop
stood for 17 ms, and for 57 every third time.
"""
LOOKS = 2
"""Looks at the young after which those that stayed are looked at once more, ten milliseconds; then they are old."""
OLD = 8_000
"""Looks at those that stayed before one at all: not in sight, for what is held is held for good."""


def settle() -> None:
    """What exists now stays out of every later look; young objects are looked at less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, LOOKS, OLD)
