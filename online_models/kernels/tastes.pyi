import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]

def met(
    items: Ids,
    trust: NDArray[np.float64],
    tags: Ids,
    scale: NDArray[np.float32],
    often: NDArray[np.float64],
) -> tuple[Ids, NDArray[np.float64]]:
    """The distinct tags of some items, and the sum over the items of each one's trust times its scale.

    Args:
        tags: of each item, int32[items, t], -1 from the first free place on; ``scale``: float32[items].
        often: working memory by tag, zero between calls.
    """

def worth(
    items: Ids,
    trust: NDArray[np.float64],
    said: NDArray[np.float64],
    tags: Ids,
    scale: NDArray[np.float32],
    columns: Ids,
    ridge: float,
    place: Ids,
) -> NDArray[np.float32]:
    """Ridge regression of what was said of the items on their tags, a weight for each of the tags in ``columns``.

    Args:
        said: float64[len(items)], each counting as much as its trust; an item's row is its scale at each of its tags.
        place: working memory by tag, zero between calls.
    """

def fit(
    ids: Ids,
    tags: Ids,
    columns: Ids,
    worths: NDArray[np.float32],
    of_tag: NDArray[np.float32],
    usual: float,
    doubt: float,
    passed: Ids,
    tired: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """How well each of some ascending items fits, written into float32[n].

    That is the mean of the worths of its tags (0 for one without tags) and ``usual``, at least 0, and ``doubt`` on top;
    of those ``passed`` over divided by ``tired``.

    Args:
        worths: of the tags in ``columns``; every other is worth 0.
        of_tag: working memory by tag, zero between calls.
        passed: items, each once; ``tired``: of each of them.
    """
