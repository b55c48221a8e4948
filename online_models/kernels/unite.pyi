import numpy as np
from numpy.typing import NDArray

def unite(
    ids: NDArray[np.int32],
    exclude: NDArray[np.int32],
    allowed: NDArray[np.uint8],
    marked: NDArray[np.uint8],
    place: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Distinct ids, ascending, and the place of each of ``ids`` among them.

    Args:
        ids: below the length of ``marked``; -1 stands for none.
        exclude: ids to leave out.
        allowed: by id; those beyond its end are allowed.
        marked: working memory, zero before and after, its length a multiple of 8.
        place: working memory of the same length.

    Returns:
        The union, and places, intp[len(ids)]; the length of the union is the place of what was left out.
    """
