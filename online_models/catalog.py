"""The items there are: which may be shown, and what is known of them, by interned id and in columns.

Filters ask for two hundred candidates at once, so what they ask for lies in arrays. An item that was acted on but never
described may be shown too: producers without a catalogue are served.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.events import Item
from online_models.kernels import masks

_UNDESCRIBED, _AVAILABLE, _UNAVAILABLE, _RETIRED = 0, 1, 2, 3
_SHOWN = np.array([1, 1, 0, 0], dtype=np.uint8)  # by state
_SHOWN_DESCRIBED = np.array([0, 1, 0, 0], dtype=np.uint8)


class Catalog:
    """Items by interned id.

    Args:
        undescribed_allowed: whether an item that no catalogue entry names may be shown.

    >>> catalog = Catalog()
    >>> catalog.upsert(3, Item(item_id="m", tags=["war"]), ts=5)
    >>> catalog.showable(np.array([3], dtype=np.int32)).tolist(), catalog.tags(3)
    ([True], ('war',))
    >>> catalog.retire(3)
    >>> catalog.showable(np.array([3], dtype=np.int32)).tolist()
    [False]
    """

    def __init__(self, *, undescribed_allowed: bool = True) -> None:
        self.undescribed_allowed = undescribed_allowed
        self._state = np.zeros(1_024, dtype=np.int8)
        self._end = 0  # above every number described
        self._created = np.zeros(1_024, dtype=np.int64)
        self._provider = np.full(1_024, -1, dtype=np.int32)
        self._tags: dict[int, tuple[int, ...]] = {}
        self._titles: dict[int, str] = {}
        self._attributes: dict[int, dict[str, Any]] = {}
        self._tag_numbers: dict[str, int] = {}
        self._tag_names: list[str] = []
        self._providers: dict[str, int] = {}
        self._provider_names: list[str] = []
        self.described = 0

    def __len__(self) -> int:
        """How many items are described and not retired."""
        return int(np.count_nonzero((self._state == _AVAILABLE) | (self._state == _UNAVAILABLE)))

    # ------------------------------------------------------------------ writing

    def upsert(self, number: int, item: Item, ts: int) -> None:
        """Take a catalogue entry over; it replaces what was known of the item."""
        self._end = max(self._end, number + 1)
        self._room(number)
        self._state[number] = _AVAILABLE if item.available else _UNAVAILABLE
        created = item.created_at or item.ts or ts
        if not self._created[number] or item.created_at:
            self._created[number] = created
        self._provider[number] = (
            _number(item.provider, self._providers, self._provider_names) if item.provider else -1
        )
        self._tags[number] = tuple(
            _number(t, self._tag_numbers, self._tag_names) for t in dict.fromkeys(item.tags)
        )
        self._titles[number] = item.title
        self._attributes[number] = dict(item.attributes)

    def retire(self, number: int) -> None:
        """The item is gone; it is never shown again unless it is described anew."""
        self._room(number)
        self._state[number] = _RETIRED
        for table in (self._tags, self._titles, self._attributes):
            table.pop(number, None)

    def _room(self, number: int) -> None:
        size = len(self._state)
        if number < size:
            return
        more = max(number + 1, 2 * size) - size
        self._state = np.concatenate([self._state, np.zeros(more, dtype=np.int8)])
        self._created = np.concatenate([self._created, np.zeros(more, dtype=np.int64)])
        self._provider = np.concatenate([self._provider, np.full(more, -1, dtype=np.int32)])

    # ------------------------------------------------------------------ reading

    def states(self, ids: Ids) -> NDArray[np.int8]:
        """The state of each item, int8[n]; one beyond the table is undescribed."""
        states = self._state.take(ids, mode="clip")
        states[ids >= len(self._state)] = _UNDESCRIBED
        return states

    def showable(self, ids: Ids) -> NDArray[np.bool_]:
        """Which may be shown, bool[n]."""
        passes = _SHOWN if self.undescribed_allowed else _SHOWN_DESCRIBED
        return masks.by_state(self._state, ids.astype(np.int32, copy=False), passes)

    def available(self) -> Ids:
        """All described items that may be shown, by id."""
        return np.flatnonzero(self._state == _AVAILABLE).astype(np.int32)

    def sample(self, rng: np.random.Generator, n: int) -> Ids:
        """Described items that may be shown, at random: those at ``n`` places drawn, in the order drawn, each once."""
        if not self._end:
            return np.zeros(0, dtype=np.int32)
        drawn = rng.integers(0, self._end, n, dtype=np.int32)
        once = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
        there: Ids = once[self._state[once] == _AVAILABLE]
        return there

    def newest(self, n: int) -> Ids:
        """The newest described items that may be shown, at most ``n``, newest first, ties by the lower id."""
        ids = self.available()
        order = np.lexsort((ids, -self._created[ids]))
        return ids[order[:n]]

    def created(self, ids: Ids) -> NDArray[np.int64]:
        """When each item came into being, ms, int64[n]; 0 when that is not known."""
        known = ids < len(self._created)
        return np.where(known, self._created[np.where(known, ids, 0)], 0)

    def tag_numbers(self, number: int) -> tuple[int, ...]:
        """The tags of an item, as numbers of this process."""
        return self._tags.get(number, ())

    def tags(self, number: int) -> tuple[str, ...]:
        """The tags of an item."""
        return tuple(self._tag_names[t] for t in self._tags.get(number, ()))

    def title(self, number: int) -> str:
        """The title of an item; empty when there is none."""
        return self._titles.get(number, "")

    def titles(self, numbers: Iterable[int]) -> list[str]:
        """The titles of some items; empty where there is none."""
        titles = self._titles
        return [titles.get(number, "") for number in numbers]

    def attributes(self, number: int) -> dict[str, Any]:
        """The attributes of an item."""
        return dict(self._attributes.get(number, {}))

    def provider(self, number: int) -> str:
        """The provider of an item; empty when there is none."""
        at = int(self._provider[number]) if number < len(self._provider) else -1
        return self._provider_names[at] if at >= 0 else ""

    def provider_numbers(self, ids: Ids) -> NDArray[np.int32]:
        """The provider of each item, as a number of this process, int32[n]; -1 where there is none."""
        known = ids < len(self._provider)
        return np.where(known, self._provider[np.where(known, ids, 0)], -1).astype(np.int32)

    def with_tags(self, ids: Ids, names: Iterable[str]) -> NDArray[np.bool_]:
        """Which carry any of the tags, bool[n]."""
        wanted = {self._tag_numbers[name] for name in names if name in self._tag_numbers}
        return np.array([not wanted.isdisjoint(self._tags.get(i, ())) for i in ids.tolist()], dtype=np.bool_)

    def with_providers(self, ids: Ids, names: Iterable[str]) -> NDArray[np.bool_]:
        """Which come from any of the providers, bool[n]."""
        wanted = [self._providers[name] for name in names if name in self._providers]
        known = ids < len(self._provider)
        at = np.where(known, self._provider[np.where(known, ids, 0)], -1)
        return np.isin(at, wanted) if wanted else np.zeros(len(ids), dtype=np.bool_)


def _number(name: str, numbers: dict[str, int], names: list[str]) -> int:
    """The number of a tag or provider in this process; a new one is given the next."""
    if name not in numbers:
        numbers[name] = len(names)
        names.append(name)
    return numbers[name]
