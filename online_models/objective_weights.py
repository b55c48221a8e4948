"""What an order is made for: how much each action is worth, by name and number, checked and named."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

CLICK = "click"
MOST_ACTIONS = 16
LARGEST = 1e6
ALIASES = {"conversion": "purchase"}
"""Another word for an action, understood where no action is declared by that name."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each action is worth; ``version`` names these numbers wherever slates are logged.

    Attributes:
        of: actions and their weights, by name; those of weight 0 are left out.
        version: ``click`` where clicks alone count.

    >>> weights = Weights.parse({"click": 1, "purchase": 20, "dislike": -2})
    >>> weights.of
    (('click', 1.0), ('dislike', -2.0), ('purchase', 20.0))
    >>> weights.clicks_alone, Weights.parse({"click": 3}).clicks_alone, CLICKS.version
    (False, True, 'click')
    """

    of: tuple[tuple[str, float], ...]
    version: str

    @classmethod
    def parse(cls, told: Mapping[str, Any], actions: Collection[str] | None = None) -> Weights:
        """Weights by action.

        Args:
            actions: those that have a head; None lets any through.

        Raises:
            ValueError: the text says what is wrong and what would do.

        >>> Weights.parse({"conversion": 1}, {"click", "purchase"}).of
        (('purchase', 1.0),)
        >>> Weights.parse({"clck": 1}, {"click", "purchase"})
        Traceback (most recent call last):
        ...
        ValueError: 'clck' is no action with a head of its own; there are click, purchase
        """
        if not 1 <= len(told) <= MOST_ACTIONS:
            raise ValueError(f"weights name 1 to {MOST_ACTIONS} actions, not {len(told)}")
        found: dict[str, float] = {}
        for word, weight in told.items():
            name = _named(word, actions)
            if name in found:
                raise ValueError(f"{word!r} is another word for {name!r}, which has a weight already")
            found[name] = _number(word, weight)
        kept = tuple((name, weight) for name, weight in sorted(found.items()) if weight)
        if not any(weight > 0 for _, weight in kept):
            raise ValueError("at least one action must be worth something: a weight above 0")
        return cls(kept, _version(kept))

    @classmethod
    def lenient(cls, told: Mapping[str, Any], actions: Collection[str]) -> Weights:
        """The same where a process has heads of ``actions``; another action is kept, and counts nothing there.

        >>> Weights.lenient({"conversion": 1, "share": 2}, {"click", "purchase"}).of
        (('purchase', 1.0), ('share', 2.0))
        """
        return cls.parse({_meant(word, actions): weight for word, weight in told.items()})

    @property
    def clicks_alone(self) -> bool:
        """Whether the order is that by clicks, as it is without any weights."""
        return self.version == CLICK

    def plain(self) -> dict[str, float]:
        """As JSON has it."""
        return dict(self.of)


def _named(word: str, actions: Collection[str] | None) -> str:
    if not isinstance(word, str) or not _NAME.fullmatch(word):
        raise ValueError(f"an action is called by 1 to 64 of A-Z a-z 0-9 _ . -, not {word!r}")
    meant = word if actions is None else _meant(word, actions)
    if actions is None or meant in actions:
        return meant
    raise ValueError(f"{word!r} is no action with a head of its own; there are {', '.join(sorted(actions))}")


def _meant(word: str, actions: Collection[str]) -> str:
    other = ALIASES.get(word, word)
    return other if word not in actions and other in actions else word


def _number(word: str, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ValueError(f"the weight of {word!r} must be a number, not {weight!r}")
    if not abs(weight) <= LARGEST:
        raise ValueError(f"the weight of {word!r} must lie within +-{LARGEST:g}, not {weight!r}")
    return float(weight)


def _version(kept: tuple[tuple[str, float], ...]) -> str:
    if len(kept) == 1 and kept[0][0] == CLICK:
        return CLICK
    text = "|".join(f"{name}={weight!r}" for name, weight in kept)
    return "o-" + blake2b(text.encode(), digest_size=6).hexdigest()


CLICKS = Weights(((CLICK, 1.0),), CLICK)
"""Only clicks count: what holds unless told otherwise."""
