"""A log to try off-policy evaluation on: slates drawn in the simulated world, where what any policy earns is known.

    python -m evaluation.ope.example exposures.jsonl

writes the log and tells what three policies would have earned.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evaluation.ope.marginals import space_of
from evaluation.ope.records import Floats
from evaluation.ope.targets import policy_of
from evaluation.simulator import World, WorldConfig
from online_models.bandit import draw_slate
from online_models.chance import generator, seed_of

LOGGED_BY = "plackett_luce:0.7:0.2"
CANDIDATES, SLOTS = 8, 3


class Example:
    """Users with eight candidates each, and a recommender that knows their tastes up to noise."""

    def __init__(self, users: int = 400, seed: int = 0) -> None:
        self.world = World(WorldConfig(seed=seed, users=users, items=60, new_items=0))
        rng = np.random.default_rng([seed, 7])
        self.items = {user: self._candidates(rng) for user in self.world.user_ids}
        self.scores = {user: self._scores(user, rng) for user in self.world.user_ids}

    def log(self, visits: int = 10, seed: int = 1) -> Iterator[dict[str, Any]]:
        """Exposures as they stand in the topic, each with its clicks."""
        rng, by = np.random.default_rng(seed), policy_of(LOGGED_BY)
        for user in self.world.user_ids:
            for visit in range(visits):
                name = f"{user}-{visit}"
                slate = draw_slate(
                    by, self.scores[user], SLOTS, generator(seed_of("example", name, str(seed)))
                )
                chance = self._clicks(user, np.array([slate.chosen]))[0]
                clicked = rng.random(SLOTS) < chance
                yield self._record(user, name, slate.chosen, slate.propensities, clicked.tolist())

    def truth(self, target: str) -> float:
        """Clicks a slate under a policy, over all users alike."""
        policy = policy_of(target)
        each = []
        for user in self.world.user_ids:
            space = space_of(policy, self.scores[user], SLOTS)
            each.append(float(space.chance @ self._clicks(user, space.slates).sum(axis=1)))
        return float(np.mean(each))

    def _candidates(self, rng: np.random.Generator) -> list[str]:
        chosen = rng.choice(len(self.world.item_ids), CANDIDATES, replace=False)
        return [self.world.item_ids[k] for k in chosen.tolist()]

    def _likes(self, user: str) -> Floats:
        return np.array([self.world.probability(user, item, 0) for item in self.items[user]])

    def _scores(self, user: str, rng: np.random.Generator) -> Floats:
        likes = self._likes(user)
        out: Floats = np.log(likes / (1.0 - likes)) + rng.normal(0.0, 0.7, CANDIDATES)
        return out.round(5)

    def _clicks(self, user: str, slates: np.ndarray[Any, np.dtype[np.intp]]) -> Floats:
        out: Floats = self._likes(user)[slates] * np.array([self.world.examine(k) for k in range(SLOTS)])
        return out

    def _record(
        self, user: str, name: str, chosen: tuple[int, ...], propensities: tuple[float, ...], clicked: list[bool]
    ) -> dict[str, Any]:  # fmt: skip
        items = self.items[user]
        slots = [
            {"item_id": items[k], "position": at, "propensity": p}
            for at, (k, p) in enumerate(zip(chosen, propensities, strict=True))
        ]
        return {
            "v": 1, "type": "exposure", "event_id": f"x-{name}", "user_id": user, "ts": 0, "request_id": name,
            "items": slots, "flags": ["randomised"], "policy": LOGGED_BY,
            "context": {"choice": {"items": items, "scores": self.scores[user].tolist(), "barred": []}},
            "clicks": [items[k] for k, yes in zip(chosen, clicked, strict=True) if yes],
        }  # fmt: skip


def main(path: Path) -> None:
    """Write the log, tell the truth."""
    example = Example()
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in example.log()) + b"\n")
    for target in ("uniform", "softmax:0.5", "greedy"):
        sys.stdout.write(f"{target}: {example.truth(target):.4f} clicks a slate\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "exposures.jsonl"))
