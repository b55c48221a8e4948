"""Python's collector of cycles, told that a stream makes few cycles and holds many users.

As it comes, it looks through all young objects for every 700 made, and through everything held (hundreds of
thousands of objects, a tenth of a second) whenever a quarter more is held. Memory itself is freed by reference counts.
"""

from __future__ import annotations

import gc

YOUNG = 50_000
"""Objects made, less those freed, between two looks at the young ones."""


def settle() -> None:
    """What exists now stays out of every later look; young objects are looked at less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 100)
