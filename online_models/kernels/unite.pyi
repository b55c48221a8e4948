import numpy as np
from numpy.typing import NDArray

def unite(
    ids: NDArray[np.int32],
    exclude: NDArray[np.int32],
    allowed: NDArray[np.uint8],
    marked: NDArray[np.uint64],
    place: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Distinct ids, ascending, and the place of each of ``ids`` among them.

    Args:
        ids: below the length of ``place``; -1 stands for none.
        exclude: ids to leave out.
        allowed: by id; those beyond its end are allowed.
        marked: working memory of a bit an item, zero before and after.
        place: working memory, as long as there are bits.

    Returns:
        The union, and places, intp[len(ids)]; the length of the union is the place of what was left out.
    """
