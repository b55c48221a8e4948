"""Which items may not be shown, and why: each filter is one rule, and what it removes is counted.

A filter answers for many items at once, ids ascending. All that a request leaves out is left out here, before the
candidates are ranked: nothing alters a slate once it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.catalog import Catalog
from online_models.history import UserRecord
from online_models.interning import Interner
from online_models.kernels import masks
from serving.types import SlateRequest, SurfacePolicy

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as filters see it."""

    request: SlateRequest
    record: UserRecord
    surface: SurfacePolicy


class Filter(Protocol):
    """One rule."""

    name: str

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """Which of the items (ascending) may be shown, bool[n]; None when the rule does not apply."""


class SeenItemsFilter:
    """Items the user has acted on, unless the surface shows them again (repeat consumption)."""

    name = "seen"

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`Filter`."""
        if asked.surface.seen == "none":
            return None
        acted, older = asked.record.recent_items, asked.record.older
        if not (acted or older):
            return None
        return ~(among(ids, acted) | among(ids, older) if older else among(ids, acted))


class FatigueFilter:
    """Items shown to the user too often without an action, where the surface says so."""

    name = "fatigue"

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`Filter`."""
        if asked.surface.seen != "fatigue":
            return None
        limit = asked.surface.fatigue_k
        return ~among(ids, [item for item, n in asked.record.impressed.items() if n >= limit])


class CatalogFilter:
    """Items that are retired, or not to be had at the moment."""

    name = "catalog"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`Filter`."""
        return self._catalog.showable(ids)


class ExcludedItemsFilter:
    """Items the request names."""

    name = "excluded"

    def __init__(self, interner: Interner) -> None:
        self._interner = interner

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`Filter`."""
        return ~among(ids, numbers(self._interner, asked.request.exclude)) if asked.request.exclude else None


class VetoedFilter:
    """What the user wants to see no more: items, tags, providers."""

    name = "vetoed"

    def __init__(self, catalog: Catalog, interner: Interner) -> None:
        self._catalog, self._interner = catalog, interner

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`Filter`."""
        if not asked.record.vetoes:
            return None
        by_kind: dict[str, list[str]] = {"item": [], "tag": [], "provider": []}
        for what in asked.record.vetoes:
            kind, _, name = what.partition(":")
            by_kind[kind].append(name)
        gone = among(ids, numbers(self._interner, by_kind["item"]))
        if by_kind["tag"]:
            gone |= self._catalog.with_tags(ids, by_kind["tag"])
        if by_kind["provider"]:
            gone |= self._catalog.with_providers(ids, by_kind["provider"])
        return ~gone


class RestrictionFilter:
    """Items without the tags or providers that the request restricts itself to."""

    name = "restricted"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def keep(self, ids: Ids, asked: Asked) -> Mask | None:
        """See :class:`Filter`."""
        request = asked.request
        if not (request.tags or request.providers):
            return None
        kept = np.ones(len(ids), dtype=np.bool_)
        if request.tags:
            kept &= self._catalog.with_tags(ids, request.tags)
        if request.providers:
            kept &= self._catalog.with_providers(ids, request.providers)
        return kept


class FilterChain:
    """All filters for one request; ``removed`` counts what each left out, the first to object being named."""

    def __init__(self, filters: Sequence[Filter], asked: Asked) -> None:
        self._filters, self._asked = filters, asked
        self.removed: Counter[str] = Counter()

    def __call__(self, ids: Ids) -> Mask:
        """Which items may be shown, bool[n]."""
        kept: Mask | None = None
        left = len(ids)
        for rule in self._filters:
            allowed = rule.keep(ids, self._asked)
            if allowed is not None:
                kept = allowed if kept is None else kept & allowed
                before, left = left, int(np.count_nonzero(kept))
                self.removed[rule.name] += before - left
        return np.ones(left, dtype=np.bool_) if kept is None else kept


def standard(catalog: Catalog, interner: Interner) -> tuple[Filter, ...]:
    """The filters of every request."""
    return (
        CatalogFilter(catalog), SeenItemsFilter(), FatigueFilter(), VetoedFilter(catalog, interner),
        ExcludedItemsFilter(interner), RestrictionFilter(catalog),
    )  # fmt: skip


def among(ids: Ids, some: Collection[int]) -> Mask:
    """Which of ``ids`` (ascending) are among ``some``, bool[n].

    >>> among(np.array([2, 5, 9], dtype=np.int32), {9, 4}).tolist()
    [False, False, True]
    """
    return masks.among(ids.astype(np.int32, copy=False), some)


def numbers(interner: Interner, names: Sequence[str]) -> list[int]:
    """The interned ids of those names that have one."""
    return [number for name in names if (number := interner.get(name)) is not None]
