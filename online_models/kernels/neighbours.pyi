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
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.intp]]:
    """Who of those alike holds the anchors, at which place, and which anchor it is."""

def surroundings(
    voters: NDArray[np.int32], places: NDArray[np.int32], items: NDArray[np.int32], window: int
) -> NDArray[np.int32]:
    """What stands up to ``window`` places before and after, from the earliest on, int32[voters * 2 window]."""

def votes(
    at: NDArray[np.intp],
    wide: NDArray[np.float32],
    close: NDArray[np.float32],
    wide_by_distance: NDArray[np.float32],
    close_by_distance: NDArray[np.float32],
    size: int,
) -> NDArray[np.float32]:
    """Sums of votes by place, float32[3, size]: all around, what comes after, what is close.

    Args:
        at: the place of each of the surroundings, intp[voters * 2 window]; ``size`` for none.
        wide, close: weight of each voter; ``..._by_distance``: of each of its ``2 window`` surroundings.
    """
