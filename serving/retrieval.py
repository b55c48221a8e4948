"""From a user to candidates: every source is asked, what may not be shown is filtered, the best few hundred stay.

A user nobody knows gets what is trending on the surface and what is new; so does a request that its restrictions leave
short, as long as the catalogue holds anything that fits.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from online_models.base import Ids, Query
from online_models.candidates import Candidates
from online_models.catalog import Catalog
from online_models.counters import ItemCounters
from online_models.model import Model
from serving.filters import FilterChain

_NONE = np.zeros(0, dtype=np.int32)


class Retrieval:
    """All sources of the model, and a reserve for when they are short.

    Args:
        n: candidates at most.
        reserve: trending, new and catalogue items looked at when there are too few, of each kind.
    """

    def __init__(
        self, model: Model, counters: ItemCounters, catalog: Catalog, *, n: int = 200, reserve: int = 1_000
    ) -> None:
        self.model, self.counters, self.catalog = model, counters, catalog
        self.n, self.reserve = n, reserve

    def candidates(
        self, query: Query, keep: FilterChain, n: int | None = None, also: Ids = _NONE,
        without: Collection[str] = (),
    ) -> Candidates:  # fmt: skip
        """What the sources propose and what is to be there ``also``, without what the filters remove.

        Args:
            n: at most so many in place of the usual number.
            without: families of sources that are not asked.
        """
        return self.model.candidates(query, n or self.n, keep=keep, also=also, without=without)

    def reserves(
        self, wanted: int, taken: Ids, surface: str, now: int, keep: FilterChain
    ) -> list[tuple[int, str]]:
        """At most ``wanted`` further items, the trending first, then the newest, then any: (item, source)."""
        found: list[tuple[int, str]] = []
        held = set(taken.tolist())
        for source, ids in (
            ("trending", self.counters.trending(surface, now, self.reserve)[0]),
            ("fresh", self.catalog.newest(self.reserve)),
            ("catalog", self.catalog.available()),
        ):
            if len(found) >= wanted:
                break
            new = [i for i in self._allowed(ids, keep).tolist() if i not in held]
            found += [(item, source) for item in new[: wanted - len(found)]]
            held.update(new)
        return found

    def _allowed(self, ids: Ids, keep: FilterChain) -> Ids:
        """Those the filters keep, in their order."""
        if not len(ids):
            return _NONE
        ascending = np.sort(ids)
        allowed = keep(ascending)
        places = np.searchsorted(ascending, ids)
        kept: Ids = ids[allowed[places]]
        return kept
