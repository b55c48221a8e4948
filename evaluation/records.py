"""What public data sets hold, as plain records: a rating, a logged impression, a click in a session."""

from __future__ import annotations

from dataclasses import dataclass


class DatasetError(ValueError):
    """A file is not what was expected; the text names the file, the line and what would be."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A user's rating of an item; ``ts_ms`` since the epoch."""

    user: str
    item: str
    rating: float
    ts_ms: int


@dataclass(frozen=True, slots=True)
class SessionClick:
    """A click in an anonymous session."""

    session: str
    item: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class LoggedImpression:
    """One item shown in one slot, with the probability it was shown there (Open Bandit Dataset).

    ``position`` is 1 at the left, as logged. Visitors are not named: ``user`` stands for all with the same features.
    """

    user: str
    item: str
    position: int
    click: bool
    propensity: float
    ts_ms: int
    user_features: tuple[str, ...] = ()
    affinities: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemInfo:
    """What is known of an item beside who acted on it."""

    title: str = ""
    tags: tuple[str, ...] = ()
    year: int | None = None


Record = Rating | SessionClick | LoggedImpression
