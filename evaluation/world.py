"""The simulated world's hidden truth: who likes what, how good items are, which slots are looked at.

Everything is drawn once from a seed, so that what a recommender should have learnt is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAGS = (
    "jazz", "space", "cooking", "history", "crime", "nature", "comedy", "chess", "travel", "science", "football",
    "fashion", "gardening", "cinema", "poetry", "cycling", "politics", "animals", "painting", "robots",
)  # fmt: skip
_ADJECTIVES = (
    "Quiet",
    "Golden",
    "Lost",
    "Electric",
    "Northern",
    "Paper",
    "Midnight",
    "Wild",
    "Hidden",
    "Slow",
)
_NOUNS = ("Stories", "Hour", "Letters", "Atlas", "Garden", "Signals", "Days", "Notes", "Lessons", "Roads")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """Size and temper of a world.

    Args:
        users, items, tags: how many there are at the start (tags at most 20).
        new_items: items that arrive later, one each ``new_item_every_ms``.
        start_ms: the first moment, ms since the epoch.
        shift_after_ms: when tastes change, after the start; None is never.
        shift_share: share of users whose tastes change then.
        base_logit, taste_weight, quality_sd: log-odds of a click on an examined item are
            ``base_logit + taste_weight * affinity + quality``, affinity in [0, 1].
        examination_power: slot k (0 is the top) is looked at with probability ``(k + 1) ** -power``.
        delay_median_ms, delay_sigma: a click comes so long after its impression (log-normal).
        late_share: share of clicks that come 1 to 10 minutes after it instead.
        like_share: share of clicks followed by a ``like``.
    """

    seed: int = 0
    users: int = 300
    items: int = 500
    tags: int = 16
    new_items: int = 200
    new_item_every_ms: int = 5_000
    start_ms: int = 0
    shift_after_ms: int | None = None
    shift_share: float = 0.5
    base_logit: float = -3.5
    taste_weight: float = 4.5
    quality_sd: float = 0.5
    examination_power: float = 0.7
    delay_median_ms: float = 3_000.0
    delay_sigma: float = 0.8
    late_share: float = 0.01
    like_share: float = 0.15

    def __post_init__(self) -> None:
        whole = {"users": self.users, "items": self.items, "new_item_every_ms": self.new_item_every_ms}
        for name, value in whole.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not 2 <= self.tags <= len(TAGS):
            raise ValueError(f"tags must be in 2..{len(TAGS)}, not {self.tags}")
        for name in ("shift_share", "late_share", "like_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in 0..1, not {getattr(self, name)}")
        if min(self.new_items, self.examination_power, self.delay_sigma, self.quality_sd) < 0:
            raise ValueError("new_items, examination_power, delay_sigma and quality_sd must not be below 0")


@dataclass(frozen=True, slots=True)
class Truth:
    """What is hidden from a recommender.

    ``tastes`` [user, tag] before and after the shift, rows sum to 1; ``item_tags`` [item, tag], rows sum to 1;
    ``affinity_max`` [user] scales affinities to [0, 1].
    """

    tastes: Floats
    tastes_after: Floats
    item_tags: Floats
    tags_of: tuple[tuple[str, ...], ...]
    titles: tuple[str, ...]
    quality: Floats
    created: NDArray[np.int64]
    activity: Floats


def draw(config: WorldConfig) -> Truth:
    """A world's truth, the same for the same configuration."""
    rng = np.random.default_rng([config.seed, 1])
    count = config.items + config.new_items
    popularity: Floats = np.arange(1.0, config.tags + 1.0) ** -0.5
    popularity = np.asarray(popularity / popularity.sum(), np.float64)
    tastes = _tastes(rng, config.users, popularity)
    after = tastes.copy()
    moved = rng.random(config.users) < config.shift_share
    after[moved] = _tastes(rng, int(moved.sum()), popularity[::-1])
    item_tags = _item_tags(rng, count, config.tags)
    tags_of = tuple(tuple(TAGS[t] for t in np.flatnonzero(row)) for row in item_tags)
    late = np.arange(1, config.new_items + 1) * config.new_item_every_ms
    created = config.start_ms + np.concatenate([np.zeros(config.items, np.int64), late.astype(np.int64)])
    activity = rng.permutation(np.arange(1, config.users + 1) ** -0.6)
    return Truth(
        tastes, after, item_tags, tags_of, _titles(rng, tags_of), rng.normal(0.0, config.quality_sd, count),
        created, activity / activity.sum(),
    )  # fmt: skip


def examination(positions: NDArray[np.int64] | int, power: float) -> Floats:
    """Probability that a slot is looked at.

    >>> examination(np.arange(3), 1.0).round(3).tolist()
    [1.0, 0.5, 0.333]
    """
    return np.asarray((np.asarray(positions, np.float64) + 1.0) ** -power)


def _tastes(rng: np.random.Generator, users: int, popularity: Floats) -> Floats:
    """Two or three tags hold nearly all of a user's taste."""
    tags = len(popularity)
    tastes = np.full((users, tags), 0.02 / tags)
    for row in tastes:
        liked = rng.choice(tags, size=min(tags, int(rng.integers(2, 4))), replace=False, p=popularity)
        row[liked] += 0.98 * rng.dirichlet(np.full(len(liked), 4.0))
    return tastes


def _item_tags(rng: np.random.Generator, items: int, tags: int) -> Floats:
    matrix = np.zeros((items, tags))
    for row in matrix:
        chosen = rng.choice(tags, size=min(tags, int(rng.integers(1, 4))), replace=False)
        row[chosen] = rng.dirichlet(np.full(len(chosen), 3.0))
    return matrix


def _titles(rng: np.random.Generator, tags_of: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    first = rng.integers(0, len(_ADJECTIVES), len(tags_of))
    last = rng.integers(0, len(_NOUNS), len(tags_of))
    return tuple(
        f"{_ADJECTIVES[a]} {tags[0].capitalize()} {_NOUNS[b]}"
        for tags, a, b in zip(tags_of, first, last, strict=True)
    )
