"""What is going on right now, counted from the log's records: clicks by arm and source, freshness, signals.

Counts fade with a half-life of minutes, so that they tell of now. Pure: records in, a tick out, the clock an argument.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FRESHNESS_MS = (2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""Upper edges of the freshness histogram; a last bin holds what took longer."""
PARTS = 10
"""Bins of predicted probability in the calibration plot, evenly spaced in their square root."""
_POPULAR = "popular"


@dataclass(slots=True)
class _Slot:
    """One slot of a slate, until it is forgotten."""

    source: str
    random: bool
    probability: float
    seen: bool = False
    acted: bool = False


@dataclass(slots=True)
class Faded:
    """Shown, predicted and clicked of one arm, source or bin."""

    shown: float = 0.0
    predicted: float = 0.0
    clicked: float = 0.0

    def told(self) -> list[float]:
        """The three, rounded."""
        return [round(self.shown, 2), round(self.predicted, 4), round(self.clicked, 2)]


@dataclass(slots=True)
class _Kept:
    """The newest of what is told record by record."""

    signals: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    letters: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=50))
    users: OrderedDict[str, None] = field(default_factory=OrderedDict)


class LiveBoard:
    """Counts of the last minutes.

    Args:
        half_life_s: of every count, above 0.
        slates: slates remembered, to tell clicks by their source; at least 1.

    >>> board = LiveBoard()
    >>> slot = {"item_id": "a", "source": "vsk", "probability": 0.1}
    >>> board.event({"type": "exposure", "request_id": "r", "user_id": "u", "items": [slot], "flags": []})
    >>> board.event({"type": "impression", "request_id": "r", "user_id": "u", "items": [{"item_id": "a"}]})
    >>> board.event({"type": "click", "request_id": "r", "user_id": "u", "item_id": "a"})
    >>> board.tick(seconds=1.0)["sources"]["vsk"]
    [1.0, 0.1, 1.0]
    """

    def __init__(self, half_life_s: float = 120.0, slates: int = 5_000) -> None:
        if half_life_s <= 0 or slates < 1:
            raise ValueError("half_life_s must be above 0, slates at least 1")
        self.half_life_s, self.most = half_life_s, slates
        self._slates: OrderedDict[str, dict[str, _Slot]] = OrderedDict()
        self._arms: dict[str, Faded] = {arm: Faded() for arm in ("policy", "popular", "random")}
        self._sources: dict[str, Faded] = {}
        self._bins = [Faded() for _ in range(PARTS)]
        self._freshness = np.zeros(len(FRESHNESS_MS) + 1)
        self._latest: deque[int] = deque(maxlen=2_000)
        self._kept = _Kept()
        self._passed = self.dead = 0

    # ------------------------------------------------------------------ records

    def passed(self, records: int) -> None:
        """So many records were appended to ``events``."""
        self._passed += records

    def event(self, plain: Mapping[str, Any]) -> None:
        """A record of ``events``."""
        match plain.get("type"):
            case "exposure":
                self._exposure(plain)
            case "impression":
                for shown in plain.get("items", ()):
                    self._seen(plain.get("request_id"), shown.get("item_id"))
            case "click":
                self._clicked(plain.get("request_id"), plain.get("item_id"))
                self._user(str(plain.get("user_id", "")))

    def recommendation(self, plain: Mapping[str, Any]) -> None:
        """A record of ``recommendations``."""
        took = plain.get("freshness_ms")
        if took is not None and str(plain.get("request_id", "")).startswith("auto-"):
            self._latest.append(int(took))
            self._freshness[np.searchsorted(FRESHNESS_MS, took)] += 1.0

    def signal(self, plain: Mapping[str, Any]) -> None:
        """A record of ``drift-signals``; one that is heard again counts once."""
        self._kept.signals[str(plain.get("id"))] = dict(plain)
        if len(self._kept.signals) > 200:
            self._kept.signals.popitem(last=False)

    def letter(self, plain: Mapping[str, Any]) -> None:
        """A record of ``dead-letters``; the bad record itself is left out, it may hold personal data."""
        kept = ("reason", "detail", "field", "topic", "partition", "offset")
        self._kept.letters.append({name: plain.get(name) for name in kept})
        self.dead += 1

    def _exposure(self, plain: Mapping[str, Any]) -> None:
        random = "randomised" in plain.get("flags", ())
        self._slates[str(plain.get("request_id"))] = {
            slot["item_id"]: _Slot(slot.get("source", ""), random, float(slot.get("probability", 0.0)))
            for slot in plain.get("items", ())
        }
        if len(self._slates) > self.most:
            self._slates.popitem(last=False)

    def _seen(self, request: Any, item: Any) -> None:
        slot = self._slates.get(str(request), {}).get(str(item))
        if slot is None or slot.seen:
            return
        slot.seen = True
        for row in self._rows(slot):
            row.shown += 1.0
            row.predicted += slot.probability

    def _clicked(self, request: Any, item: Any) -> None:
        self._seen(request, item)  # what was clicked was seen
        slot = self._slates.get(str(request), {}).get(str(item))
        if slot is None or slot.acted:
            return
        slot.acted = True
        for row in self._rows(slot):
            row.clicked += 1.0

    def _rows(self, slot: _Slot) -> list[Faded]:
        source = self._sources.setdefault(slot.source or "(none)", Faded())
        at = min(int(PARTS * max(slot.probability, 0.0) ** 0.5), PARTS - 1)
        arms = [self._arms["random" if slot.random else "policy"]]
        if not slot.random and slot.source.startswith(_POPULAR):
            arms.append(self._arms["popular"])
        return [source, self._bins[at], *arms]

    def _user(self, user: str) -> None:
        self._kept.users[user] = None
        self._kept.users.move_to_end(user)
        if len(self._kept.users) > 12:
            self._kept.users.popitem(last=False)

    # ------------------------------------------------------------------ telling

    def tick(self, seconds: float) -> dict[str, Any]:
        """What there is to show, ``seconds`` after the last time; all counts fade by that much."""
        told = {
            "events_per_s": round(self._passed / max(seconds, 1e-3), 1),
            "freshness": self._fresh(),
            "arms": {name: row.told() for name, row in self._arms.items()},
            "sources": {name: row.told() for name, row in sorted(self._sources.items())},
            "calibration": [row.told() for row in self._bins if row.shown >= 1.0],
            "signals": list(self._kept.signals.values()),
            "letters": list(self._kept.letters),
            "users": list(self._kept.users)[::-1],
            "dead": self.dead,
        }
        self._fade(0.5 ** (seconds / self.half_life_s))
        self._passed = 0
        return told

    def _fresh(self) -> dict[str, Any]:
        latest = np.array(list(self._latest)[-500:], dtype=np.float64)
        p50, p99 = np.percentile(latest, (50, 99)).tolist() if len(latest) else (None, None)
        counts = self._freshness.round(2).tolist()
        return {"edges": FRESHNESS_MS, "counts": counts, "p50": p50, "p99": p99}

    def _fade(self, factor: float) -> None:
        for row in (*self._arms.values(), *self._sources.values(), *self._bins):
            row.shown *= factor
            row.predicted *= factor
            row.clicked *= factor
        self._freshness *= factor
