"""Somebody who asks the API all the time and looks at every answer: is there one, and may all of it be shown?"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

import httpx

from tests.chaos.load import Load, some_user

HEARD_S = 5.0
"""After which an API that is up has heard that an item is gone."""


class Asking:
    """Asks in a thread of its own.

    Args:
        positions: how far each partition is folded in; None while that cannot be known.
        per_second: requests.
    """

    def __init__(
        self, url: str, load: Load, positions: Callable[[], list[int] | None], per_second: float, seed: int
    ) -> None:
        self.stats: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self.retired: dict[str, float] = {}  # item -> when it was gone, monotonic
        self._url, self._load, self._positions = url, load, positions
        self._every, self._random = 1.0 / per_second, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=5.0) as client:
            while not self._stop.wait(self._every):
                self._ask(client, some_user(self._random))

    def _ask(self, client: httpx.Client, user: str) -> None:
        forbidden = self._seen(user)
        gone = {item for item, at in self.retired.items() if time.monotonic() - at > HEARD_S}
        began = time.monotonic()
        self.stats["requests"] += 1
        try:
            answer = client.post("/v1/recommendations", json={"user_id": user, "n": 10})
        except httpx.HTTPError as error:
            self._refused(f"{type(error).__name__}")
            return
        self.seconds.append(time.monotonic() - began)
        if answer.status_code != 200:
            self._refused(f"{answer.status_code} {answer.text[:200]}")
            return
        told = answer.json()
        shown = {slot["item_id"] for slot in told["items"]}
        self.stats["answered"] += 1
        self.stats["empty"] += not shown
        self._look(user, shown, forbidden, gone, degraded=bool(told.get("degraded")))
        if shown:
            self._load.shown.append((user, told["request_id"], [slot["item_id"] for slot in told["items"]]))

    def _look(self, user: str, shown: set[str], seen: set[str], gone: set[str], *, degraded: bool) -> None:
        self.stats["degraded"] += degraded
        if shown & gone:
            self.stats["with_retired"] += 1
            self.wrong.append(f"{user} was shown {sorted(shown & gone)}, which are retired")
        if shown & seen:
            self.stats["with_seen_degraded" if degraded else "with_seen"] += 1
            if not degraded:
                self.wrong.append(f"{user} was shown {sorted(shown & seen)} again")

    def _seen(self, user: str) -> set[str]:
        """What the user has acted on, as far as it is folded in."""
        positions = self._positions()
        if positions is None:
            return set()
        return {item for item, (p, at) in list(self._load.acted[user].items()) if at < positions[p]}

    def _refused(self, why: str) -> None:
        self.stats["failed"] += 1
        self.wrong += [f"no answer: {why}"] if self.stats["failed"] <= 5 else []
