"""Traffic as the benchmarks send it: 85 % single-item impressions, 15 % clicks, users and items by Zipf's law.

One event in twenty brings its user a new slate of 20 slots, as an exposure before it. Impressions and clicks answer
the latest slate of their user from the top down while there is one not seen through, else none. So labels, windows
and negatives are at work as in a deployment.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from online_models.click_features import ClickSchema
from online_models.model import Model

CLICKS = 0.15
SLOTS = 20
_CHUNK = 65_536


class Sent(NamedTuple):
    """One record of ``events``, ready to produce."""

    kind: str
    user_id: str
    event_id: str
    value: bytes


@dataclass
class _Shown:
    """What one user has before them."""

    request_id: str = ""
    items: list[str] = field(default_factory=list)
    seen: int = 0


class Traffic:
    """An endless stream of events, the same for the same seed.

    Args:
        start_ms, step_ms: event time of the first event, and from one to the next.
        exponent: of Zipf's law over items; users follow a flatter one.
    """

    def __init__(
        self,
        *,
        users: int = 20_000,
        items: int = 5_000,
        seed: int = 0,
        start_ms: int = 0,
        step_ms: float = 1.0,
        exponent: float = 1.0,
        user_exponent: float = 0.5,
    ) -> None:
        self.users, self.items = users, items
        self._rng = np.random.default_rng(seed)
        self._of_item, self._of_user = _zipf(items, exponent), _zipf(users, user_exponent)
        self._at, self._step = float(start_ms), step_ms
        self._shown: dict[int, _Shown] = {}
        self._schema = ClickSchema.of(Model().schema)
        self._features = [self._random_features() for _ in range(64)]
        self._tag = f"{seed:x}-"
        self.sent = 0

    def __iter__(self) -> Iterator[Sent]:
        while True:
            users = self._draw(self._of_user, _CHUNK)
            clicks = self._rng.random(_CHUNK) < CLICKS
            for user, click in zip(users.tolist(), clicks.tolist(), strict=True):
                yield from self._one(user, click)

    def item_ids(self) -> list[str]:
        """The catalogue."""
        return [f"i{k}" for k in range(self.items)]

    def _one(self, user: int, click: bool) -> Iterator[Sent]:
        shown = self._shown.get(user)
        if self._rng.random() < 1.0 / SLOTS:
            shown = self._shown[user] = self._new_slate(user)
            yield self._exposure(user, shown)
        if shown is None or shown.seen >= SLOTS:
            yield self._unasked(user, click)
            return
        if click:
            at = int(self._rng.integers(max(shown.seen, 1)))
            yield self._record("click", user, item_id=shown.items[at], request_id=shown.request_id)
        else:
            slot = {"item_id": shown.items[shown.seen], "position": shown.seen}
            shown.seen += 1
            yield self._record("impression", user, items=[slot], request_id=shown.request_id)

    def _unasked(self, user: int, click: bool) -> Sent:
        item = f"i{int(self._draw(self._of_item, 1)[0])}"
        if click:
            return self._record("click", user, item_id=item)
        return self._record("impression", user, items=[{"item_id": item, "position": 0}])

    def _new_slate(self, user: int) -> _Shown:
        items = dict.fromkeys(self._draw(self._of_item, 3 * SLOTS).tolist())
        chosen = [f"i{k}" for k in list(items)[:SLOTS]]
        while len(chosen) < SLOTS:
            chosen.append(f"i{int(self._rng.integers(self.items))}")
        return _Shown(f"r{self._tag}{self.sent}", chosen)

    def _exposure(self, user: int, shown: _Shown) -> Sent:
        slots = [
            {"item_id": item, "position": k, "score": 0.5, "propensity": 1.0, "probability": 0.05, "source": "vsk"}
            for k, item in enumerate(shown.items)
        ]  # fmt: skip
        features = self._features[self.sent % len(self._features)]
        more = {"features": features, "feature_schema": self._schema.version, "policy": "greedy"}
        return self._record("exposure", user, request_id=shown.request_id, items=slots, **more)

    def _record(self, kind: str, user: int, **more: object) -> Sent:
        self.sent += 1
        self._at += self._step
        user_id, event_id = f"u{user}", f"e{self._tag}{self.sent}"
        event = {"v": 1, "type": kind, "event_id": event_id, "user_id": user_id, "ts": int(self._at), **more}
        return Sent(kind, user_id, event_id, orjson.dumps(event))

    def _random_features(self) -> str:
        rows = self._rng.normal(size=(SLOTS, len(self._schema.names))).clip(-5, 5).astype("<f2")
        return base64.b64encode(rows.tobytes()).decode()

    def _draw(self, cumulated: NDArray[np.float64], n: int) -> NDArray[np.int_]:
        return np.searchsorted(cumulated, self._rng.random(n) * cumulated[-1])


def _zipf(n: int, exponent: float) -> NDArray[np.float64]:
    return np.cumsum(np.arange(1, n + 1, dtype=np.float64) ** -exponent)
