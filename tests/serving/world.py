"""A tiny deployment in memory: a dozen items that users have acted on, and what answers from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from online_models.base import Interaction
from online_models.events import Item
from online_models.history import UserRecord
from serving.assembly import Parts, assemble
from serving.types import Slate, SlateRequest, SurfacePolicy

NOW = 1_700_000_000_000
ITEMS = tuple(f"i{k}" for k in range(12))


class World:
    """Items ``i0`` to ``i11``: even ones are tagged ``even``, every third ``third``; three providers in turn.

    Args:
        surface: how slates are made.
        acted: how many interactions have been learnt from.
    """

    def __init__(
        self,
        surface: SurfacePolicy | None = None,
        *,
        items: Sequence[str] = ITEMS,
        acted: int = 300,
        seed: int = 1,
        exploring: bool = True,
    ) -> None:
        self.parts: Parts = assemble({"default": surface or SurfacePolicy()}, exploring=exploring)
        self.recommender = self.parts.recommender
        self.learner, self.catalog, self.names = self.parts.learner, self.parts.catalog, self.parts.interner
        for number, item_id in enumerate(items):
            self.names.add([(item_id, number)])
            tags = ["even"] * (number % 2 == 0) + ["third"] * (number % 3 == 0)
            self.describe(item_id, tags=tags, provider=f"p{number % 3}", title=f"Item {number}")
        rng = np.random.default_rng(seed)
        for k in range(acted):
            self._act(rng, k, len(items))

    def _act(self, rng: np.random.Generator, k: int, items: int) -> None:
        """Somebody acts on an item, the lower ones more often, after two others."""
        item, *before = (int(i) for i in np.minimum(rng.geometric(0.25, size=3) - 1, items - 1))
        ts = NOW - 1_000 * (1_000 - k)
        self.learner.model.learn_one(Interaction(k % 40, item, ts, tuple(before), (ts - 1_000, ts - 2_000)))
        self.learner.counters.update(item, "click", ts)
        for _ in range(5):
            self.learner.counters.update(item, "impression", ts)

    def describe(self, item_id: str, **more: Any) -> None:
        """A catalogue entry."""
        self.parts.note_item(self.number(item_id), Item(item_id=item_id, **more), NOW - 10_000_000)

    def number(self, item_id: str) -> int:
        """The interned id; a new item is given the next."""
        found = self.names.get(item_id)
        if found is None:
            found = len(self.names)
            self.names.add([(item_id, found)])
        return found

    def user(
        self, *acted: str, vetoes: Sequence[str] = (), shown: Mapping[str, int] | None = None
    ) -> UserRecord:
        """Somebody who acted on items, the last one most recently."""
        record = UserRecord(vetoes=set(vetoes))
        for k, item_id in enumerate(acted):
            record.act(self.number(item_id), NOW - 60_000 + 1_000 * k)
        record.impressed = {self.number(i): n for i, n in (shown or {}).items()}
        return record

    def slate(self, record: UserRecord | None = None, *, degraded: str = "", **asked: Any) -> Slate:
        """The answer to a request of user ``u``."""
        request = SlateRequest(**{"request_id": "r", "user_id": "u", "n": 5, **asked})
        return self.recommender.recommend(request, record, NOW, degraded=degraded)


def shown(slate: Slate) -> list[str]:
    """The items of a slate, from the top down."""
    return [item.item_id for item in slate.items]
