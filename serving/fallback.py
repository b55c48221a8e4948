"""What is answered when a part is down: the last good list, without what may no longer be shown."""

from __future__ import annotations

from collections import OrderedDict

from serving.types import Slate, SlateItem


class LastGood:
    """The latest good slates, by user and surface, and by request for one that is retried.

    Args:
        most: slates held of each kind; the least recently used goes first, at least 1.

    >>> held = LastGood(most=1)
    >>> slate = Slate(request_id="r", user_id="u", surface="s", items=(), policy="greedy", model_version="1")
    >>> held.keep(slate)
    >>> held.of_request("u", "r") == slate, held.of_user("u", "s"), held.of_request("v", "r")
    (True, None, None)
    """

    def __init__(self, most: int = 4_000) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")
        self.most = most
        self._by_user: OrderedDict[tuple[str, str], Slate] = OrderedDict()
        self._by_request: OrderedDict[tuple[str, str], Slate] = OrderedDict()

    def keep(self, slate: Slate) -> None:
        """Note a slate that was served; without what was only needed to choose it."""
        slate = slate.told()
        if slate.items:
            _put(self._by_user, (slate.user_id, slate.surface), slate, self.most)
        _put(self._by_request, (slate.user_id, slate.request_id), slate, self.most)

    def of_user(self, user_id: str, surface: str) -> Slate | None:
        """The last good slate of a user on a surface."""
        return self._by_user.get((user_id, surface))

    def of_request(self, user_id: str, request_id: str) -> Slate | None:
        """What this very request was answered with before."""
        return self._by_request.get((user_id, request_id))


def _put(table: OrderedDict[tuple[str, str], Slate], key: tuple[str, str], slate: Slate, most: int) -> None:
    table[key] = slate
    table.move_to_end(key)
    if len(table) > most:
        table.popitem(last=False)


def again(items: tuple[SlateItem, ...], n: int) -> tuple[SlateItem, ...]:
    """The first ``n`` items in slots of their own, without propensities: this was not drawn."""
    return tuple(
        SlateItem(i.item_id, i.number, k, i.score, i.source, 1.0, i.probability, i.title)
        for k, i in enumerate(items[:n])
    )
