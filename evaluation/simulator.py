"""A seeded world of users with known tastes that looks at slates, clicks, and changes its mind.

    world = World(WorldConfig(seed=7))
    for ts, user in world.visits(rate_per_s=20.0, until=world.config.start_ms + 60_000):
        slate = recommender(user)
        for event in world.react(user, slate, ts): ...   # as they stand on the wire, in order of time

A click on the item in slot k happens with probability examination(k) * P(click | user, item, t). Both are known, so
that a slate's expected click rate, the best slate and the regret are too. Reactions are drawn per user and visit, and
not from one stream: what one user is shown never changes what another does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.world import Floats, WorldConfig, draw, examination

__all__ = ["World", "WorldConfig"]


class World:
    """Users and items of a seed, and how they behave.

    >>> world = World(WorldConfig(seed=1, users=20, items=50))
    >>> best, worst = world.oracle("u3", 5, now=0), world.random("u3", 5, now=0)
    >>> world.expected("u3", best, 0) > world.expected("u3", worst, 0)
    True
    """

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.truth = draw(config)
        self.user_ids = tuple(f"u{k}" for k in range(config.users))
        self.item_ids = tuple(f"i{k}" for k in range(len(self.truth.created)))
        self._user = {name: k for k, name in enumerate(self.user_ids)}
        self._item = {name: k for k, name in enumerate(self.item_ids)}
        self._clicks = np.zeros(len(self.item_ids))
        self._visits = np.zeros(config.users, np.int64)
        self._asked = 0

    # ------------------------------------------------------------------ what is true

    def probabilities(self, user_id: str, now: int) -> Floats:
        """P(click | examined) of every item, float64[items]; 0 for those that have not arrived yet."""
        config, truth = self.config, self.truth
        user = self._user[user_id]
        tastes = truth.tastes_after if self.shifted(now) else truth.tastes
        affinity = truth.item_tags @ tastes[user] / tastes[user].max()
        logit = config.base_logit + config.taste_weight * affinity + truth.quality
        return np.where(truth.created <= now, 1.0 / (1.0 + np.exp(-logit)), 0.0)

    def probability(self, user_id: str, item_id: str, now: int) -> float:
        """P(click | examined) of one item; 0 for one that is unknown or has not arrived yet."""
        item = self._item.get(item_id)
        return 0.0 if item is None else float(self.probabilities(user_id, now)[item])

    def shifted(self, now: int) -> bool:
        """Whether tastes have changed."""
        after = self.config.shift_after_ms
        return after is not None and now >= self.config.start_ms + after

    def examine(self, position: int) -> float:
        """Probability that a slot is looked at; 0 is the top."""
        return float(examination(position, self.config.examination_power))

    def expected(self, user_id: str, slate: Sequence[str], now: int) -> float:
        """Expected clicks per slot of a slate; 0 for an empty one."""
        if not slate:
            return 0.0
        return float(self._click_probabilities(user_id, slate, now).mean())

    def is_new(self, item_id: str) -> bool:
        """Whether an item arrived after the world's first moment."""
        item = self._item.get(item_id)
        return item is not None and bool(self.truth.created[item] > self.config.start_ms)

    # ------------------------------------------------------------------ slates to compare with

    def candidates(self, now: int) -> list[str]:
        """Items that have arrived."""
        return [self.item_ids[k] for k in np.flatnonzero(self.truth.created <= now)]

    def oracle(self, user_id: str, n: int, now: int, exclude: Collection[str] = ()) -> list[str]:
        """The best slate there is: the likeliest items, in order."""
        return self._top(self.probabilities(user_id, now), n, now, exclude)

    def random(self, user_id: str, n: int, now: int, exclude: Collection[str] = ()) -> list[str]:
        """Any items, each slate drawn anew."""
        self._asked += 1
        rng = np.random.default_rng([self.config.seed, 3, self._user[user_id], self._asked])
        return self._top(rng.random(len(self.item_ids)), n, now, exclude)

    def popular(self, user_id: str, n: int, now: int, exclude: Collection[str] = ()) -> list[str]:
        """The items clicked most so far, by anybody."""
        return self._top(self._clicks, n, now, exclude)

    # ------------------------------------------------------------------ what happens

    def visits(self, rate_per_s: float, until: int, since: int | None = None) -> Iterator[tuple[int, str]]:
        """When which user comes by, a Poisson stream of ``rate_per_s``; some users come far more often."""
        if rate_per_s <= 0.0:
            raise ValueError(f"rate_per_s must be above 0, not {rate_per_s}")
        now = float(self.config.start_ms if since is None else since)
        rng = np.random.default_rng([self.config.seed, 4, int(now)])
        while True:
            gaps = rng.exponential(1_000.0 / rate_per_s, 256)
            users = rng.choice(self.config.users, 256, p=self.truth.activity)
            for gap, user in zip(gaps.tolist(), users.tolist(), strict=True):
                now += gap
                if now >= until:
                    return
                yield int(now), self.user_ids[user]

    def react(
        self, user_id: str, slate: Sequence[str], now: int, *, request_id: str | None = None,
        surface: str = "default",
    ) -> list[dict[str, Any]]:  # fmt: skip
        """What a user does with a slate: wire events in order of time, an impression first, clicks later."""
        if not slate:
            return []
        user = self._user[user_id]
        self._visits[user] += 1
        name = f"sim-{self.config.seed}-{user}-{self._visits[user]}"
        rng = np.random.default_rng([self.config.seed, 2, user, int(self._visits[user])])
        slots = [{"item_id": item, "position": k} for k, item in enumerate(slate)]
        where = {"surface": surface, **({"request_id": request_id} if request_id else {})}
        made = [_event("impression", f"{name}-i", user_id, now, items=slots, **where)]
        chances = self._click_probabilities(user_id, slate, now)
        clicked = np.flatnonzero(rng.random(len(slate)) < chances)
        delays = self._delays(rng, len(slate))
        for k in clicked.tolist():
            at = now + int(delays[k])
            made.append(_event("click", f"{name}-c{k}", user_id, at, item_id=slate[k], **where))
            if rng.random() < self.config.like_share:
                like = {"item_id": slate[k], "action": "like", **where}
                made.append(_event("action", f"{name}-l{k}", user_id, at + 2_000, **like))
            if slate[k] in self._item:
                self._clicks[self._item[slate[k]]] += 1.0
        return sorted(made, key=lambda event: (event["ts"], event["event_id"]))

    def arrivals(self, until: int, after: int = -1) -> list[dict[str, Any]]:
        """Catalogue entries of the items that arrived after one moment, up to and including another."""
        there = (self.truth.created > after) & (self.truth.created <= until)
        return [self._entry(int(k)) for k in np.flatnonzero(there)]

    def _entry(self, item: int) -> dict[str, Any]:
        created = int(self.truth.created[item])
        return {
            "v": 1, "item_id": self.item_ids[item], "title": self.truth.titles[item],
            "tags": list(self.truth.tags_of[item]), "created_at": created, "ts": created,
        }  # fmt: skip

    def _click_probabilities(self, user_id: str, slate: Sequence[str], now: int) -> Floats:
        known = self.probabilities(user_id, now)
        chances = np.array([known[self._item[item]] if item in self._item else 0.0 for item in slate])
        return chances * examination(np.arange(len(slate)), self.config.examination_power)

    def _delays(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        config = self.config
        usual = config.delay_median_ms * np.exp(rng.normal(0.0, config.delay_sigma, count))
        late = rng.uniform(60_000.0, 600_000.0, count)
        chosen = np.where(rng.random(count) < config.late_share, late, usual)
        return np.asarray(np.maximum(chosen, 1.0), np.int64)

    def _top(self, scores: Floats, n: int, now: int, exclude: Collection[str]) -> list[str]:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        allowed = np.where(self.truth.created <= now, scores, -np.inf)
        barred = [self._item[item] for item in exclude if item in self._item]
        allowed[barred] = -np.inf
        order = np.argsort(-allowed, kind="stable")[:n]
        return [self.item_ids[k] for k in order if allowed[k] > -np.inf]


def _event(type_: str, event_id: str, user_id: str, ts: int, **more: Any) -> dict[str, Any]:
    return {"v": 1, "type": type_, "event_id": event_id, "user_id": user_id, "ts": ts, **more}
