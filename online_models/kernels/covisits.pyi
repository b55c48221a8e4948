import numpy as np
from numpy.typing import NDArray

def listed(rows: NDArray[np.intp], ids: NDArray[np.int32], used: NDArray[np.int32]) -> NDArray[np.int32]:
    """The neighbours of some lists, one list after the other; ``ids`` hold id + 1, ``used`` how many."""

def carry(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    used: NDArray[np.int32],
    taller_ids: NDArray[np.int32],
    taller_weights: NDArray[np.float32],
) -> None:
    """Copy what the rows hold into tables of as many rows or more: ``used[row]`` places of each, and no more."""

def view_scores(
    rows: NDArray[np.intp],
    at: NDArray[np.intp],
    union: NDArray[np.int32],
    used: NDArray[np.int32],
    weights: NDArray[np.float32],
    visits: NDArray[np.float64],
    shrink: NDArray[np.float64],
    fades: NDArray[np.float32],
    channels: NDArray[np.intp],
    lasts: NDArray[np.intp],
    out: NDArray[np.float32],
) -> None:
    """Scores of all views of some lists, written into float32[views, len(union)] of zeros.

    Args:
        rows: the lists read, newest item first, intp[n].
        at: the place in ``union`` of each of the lists' neighbours, one list after the other; ``len(union)`` for none.
        union: item ids; those beyond ``visits`` count as its last.
        used: neighbours of each list; ``weights``: float32[items, width, channels].
        visits: float64[items, channels]; ``shrink``: float64[channels].
        fades: of the k-th list in each view, float32[views, n or more]; ``channels``, ``lasts``: of each view.
    """

def link(
    item: int,
    others: NDArray[np.intp],
    onward: NDArray[np.float32],
    back: NDArray[np.float32],
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    used: NDArray[np.int32],
    unit: NDArray[np.float64],
) -> None:
    """Add ``onward[k]`` to ``item`` in the row of ``others[k]`` and ``back[k]`` to the reverse pair, in place.

    Args:
        others: distinct, not ``item``; those beyond the width are left out.
        onward, back: float32[n, channels].
        ids: id + 1, 0 for a free place, int32[items, width].
        unit: what a weight is divided by to be as of now, float64[channels]: a new pair takes the weakest's place.
    """
