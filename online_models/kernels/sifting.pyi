from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

def shares(scores: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Some columns of scores, float32[sources, n], each row over its highest; one without any above 0 stays 0."""

def of_items(
    ids: NDArray[np.int32], recent: Iterable[int], seen: NDArray[np.int64], now: int
) -> NDArray[np.float32]:
    """What is told of items beside their scores, float32[n, 8], as ``online_models.features.OF_ITEM`` names it.

    Args:
        ids: ascending.
        recent: the items of the history, newest first.
        seen: when each item was first and last acted on, int64[items, 2], below 0 for never; ``now``: on that clock.
    """

def worth(
    weights: NDArray[np.float32],
    share: NDArray[np.float32],
    logs: NDArray[np.float32],
    of_item: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Weighted sums of the features of each item, float32[n].

    Args:
        weights: of the logs, of what is told of items, of the shares: float32[2 sources + 8].
        share: float32[sources, n]; ``logs``: of the same shape; ``of_item``: float32[n, 8].
    """

def lift(values: NDArray[np.float32], scores: NDArray[np.float32], n: int) -> None:
    """Make the values infinite at the places of the ``n`` highest finite scores above 0, ties to the first."""

def kept(values: NDArray[np.float32], cut: float, n: int) -> NDArray[np.intp]:
    """Places of the values above a cut, and of the first at it, ``n`` together; ascending."""

def table(
    rows: NDArray[np.intp],
    share: NDArray[np.float32],
    logs: NDArray[np.float32],
    of_item: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The features of some items, float32[n, 2 sources + 8], and the source of each's highest share, ties to the first.

    Args:
        rows: of the items; the others are as in :func:`worth`, which has the order of the features, too.
    """
