import numpy as np
from numpy.typing import NDArray

def alike(
    mine: NDArray[np.intp],
    who: NDArray[np.int32],
    where: NDArray[np.int32],
    items: NDArray[np.int32],
    length: NDArray[np.int32],
    distinct: NDArray[np.float32],
    own: int,
    verify: bool,
    shared: NDArray[np.int32],
    cosine: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Rows of users that share an item with these, in no order, and the cosine of each, above 0.

    Args:
        mine: distinct items, intp[n].
        who, where: latest holders of each item and at which place, int32[items, holders]; row 0 is nobody.
        items: histories as rings, int32[users, a power of two]; ``length``: actions of each, int32[users];
            ``distinct``: different items of each, float32[users].
        own: a row that is left out; -1 for none.
        verify: whether a holder may be somebody else by now.
        shared: working memory by row, zero before and after.
        cosine: by row, zero before; the caller clears the rows returned.
    """

def holdings(
    anchors: NDArray[np.intp],
    who: NDArray[np.int32],
    where: NDArray[np.int32],
    items: NDArray[np.int32],
    length: NDArray[np.int32],
    cosine: NDArray[np.float32],
    wide: NDArray[np.float32],
    close: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Who of those alike holds the anchors, at which place, and each one's cosine times ``wide`` and times ``close``.

    Args:
        wide, close: of each anchor, or more.
    """

def polled(
    nearest: NDArray[np.intp],
    alike: NDArray[np.float32],
    voters: NDArray[np.int32],
    places: NDArray[np.int32],
    wide: NDArray[np.float32],
    close: NDArray[np.float32],
    wide_by_distance: NDArray[np.float32],
    close_by_distance: NDArray[np.float32],
    items: NDArray[np.int32],
    length: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Items that get a vote, in order of appearance, and the sums of their votes, float32[4, n].

    The rows are: of the nearest users, for all they hold; of the voters for what stands around the place they are asked
    about; for what comes after it; for what is close to it.

    Args:
        nearest: rows of users, and how much each is ``alike``, above 0.
        voters, places: a row and a place in its history; ``wide``, above 0, ``close``: weights of each.
        wide_by_distance, close_by_distance: of each of its ``2 window`` surroundings, from the earliest on.
        sums: working memory, float64[items, 4], zero between calls.
    """

def hold(
    row: int,
    item: int,
    window: int,
    items: NDArray[np.int32],
    length: NDArray[np.int32],
    distinct: NDArray[np.float32],
    who: NDArray[np.int32],
    where: NDArray[np.int32],
    held: NDArray[np.int64],
) -> None:
    """Add an item to the history of a row, and the row to the holders of the item, in place.

    Args:
        window: places ahead that are emptied.
        items, length, distinct, who, where: as of :func:`alike`; ``held``: holders each item ever had, int64[items].
    """
