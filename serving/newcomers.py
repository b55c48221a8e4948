"""Items that hardly anybody has seen, drawn from the whole catalogue for requests that explore.

Sources propose what they know: the newest items, those like what the user did, what others act on. An item that arrived
with a thousand others, or whose content says nothing, is proposed by none of them, and what is never a candidate no
draw can show. So a request that explores takes some along, drawn by its id: a retry draws the same.
"""

from __future__ import annotations

import numpy as np

from online_models.base import Ids
from online_models.catalog import Catalog
from online_models.chance import generator, stable_hash
from online_models.counters import IMPRESSION, ItemCounters

NEW_BELOW = 30
"""An item with fewer impressions than this is new: nobody can know yet whether it is any good."""
NOBODY: Ids = np.zeros(0, dtype=np.int32)


class Newcomers:
    """Draws new items.

    Args:
        looked_at: items drawn from the catalogue a request; of those the new ones are taken, ``most`` at most.

    >>> from online_models.events import Item
    >>> catalog, counters = Catalog(), ItemCounters(1_000)
    >>> catalog.upsert(0, Item(item_id="a"), 0)
    >>> Newcomers(catalog, counters).draw("r1").tolist()
    [0]
    """

    def __init__(
        self, catalog: Catalog, counters: ItemCounters, *, looked_at: int = 64, most: int = 10
    ) -> None:
        self._catalog, self._counters = catalog, counters
        self.looked_at, self.most = looked_at, most

    def draw(self, request_id: str) -> Ids:
        """Some new items, ascending; none where hardly any item is new."""
        drawn = self._catalog.sample(generator(stable_hash("newcomers", request_id)), self.looked_at)
        new: Ids = drawn[self._counters.exact(drawn, IMPRESSION) < NEW_BELOW]
        return np.sort(new[: self.most])
