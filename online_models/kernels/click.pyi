from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
Windows = Iterable[tuple[Floats, float]]

def beside(
    ids: NDArray[np.int32],
    scores: Floats,
    places: NDArray[np.intp],
    clicked: Windows,
    seen: Windows,
    shown: Iterable[int],
    prior: float,
    mean: float,
    middle: float,
    of_user: Rows,
) -> Rows:
    """What the click head reads beside the ordering head's features, float32[n, 8], within +-5, in order of ``EXTRA``.

    Args:
        ids: ascending.
        places: in the order of the scores, 0 for the first.
        clicked, seen: tables of decayed sums by item, and what each counts; an item's rate is drawn towards ``mean`` by
            ``prior`` impressions.
        shown: items the user has lately seen and left, each as often as that.
        middle: log-odds of ``mean``.
        of_user: float32[3]: the user's log-odds against ``middle``, what tells of actions, whether no click is known.
    """

def product(rows: Rows, more: Rows, weights: Floats, sources: int, logged: int, silence: float) -> Floats:
    """What :func:`joined` makes of all rows, neither rounded nor clipped, times weights, float64[n].

    Args:
        weights: float64[logged + beside].
    """

def joined(
    which: NDArray[np.intp], rows: Rows, more: Rows, sources: int, logged: int, silence: float
) -> tuple[Rows, int]:
    """Some rows of two tables side by side, float32[n, logged + beside], within +-5, and how many were not finite.

    Args:
        which: of the rows.
        rows: the first ``logged`` columns are taken; the first ``sources`` of those plus ``silence`` and halved.
        more: float32[all, beside].
    """

def logits(rows: Rows, weights: Floats, constant: float) -> Floats:
    """Rows, within +-5 and 0 for what is not a number, times weights, plus a constant, float64[n]."""
