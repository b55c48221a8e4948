import numpy as np
from numpy.typing import NDArray

def unite(
    ids: NDArray[np.int32],
    exclude: NDArray[np.int32],
    allowed: NDArray[np.uint8],
    marked: NDArray[np.uint64],
    place: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.intp]] | None:
    """Distinct ids, ascending, and the place of each of ``ids`` among them; None where the working memory is too small.

    Args:
        ids: -1 stands for none.
        exclude: ids to leave out.
        allowed: by id; those beyond its end are allowed.
        marked: working memory of a bit an item, zero before and after.
        place: working memory, as long as there are bits.

    Returns:
        The union, and places, intp[len(ids)]; the length of the union is the place of what was left out.
    """

def summed(
    ids: NDArray[np.int32],
    lengths: NDArray[np.intp],
    gains: NDArray[np.float64],
    exclude: NDArray[np.int32],
    sizes: NDArray[np.int16],
    sums: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The distinct items of several lists, in order of appearance, and the sum of the gains of the lists each is in.

    Each sum is divided by the square root of one more than the item's size.

    Args:
        ids: of all lists, one after the other; ``lengths`` and ``gains``: of each list, gains above 0.
        exclude: ids to leave out.
        sizes: by item.
        sums: working memory by item, zero before and after.
    """
