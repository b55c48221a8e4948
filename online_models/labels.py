"""From what was served and what was done to labelled examples: the join of exposures, impressions and actions.

A slate served is kept as a pending request. An impression says which of its slots were seen and opens the attribution
window; an action inside the window is a positive at once; a slot whose window closes without one is a negative. An
action after that corrects the negative. Features are those the slate was served with, never computed again.
"""

from __future__ import annotations

import base64
import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from online_models.counters import CLICK
from online_models.events import Exposure
from online_models.windows import Marks, bits

Features = NDArray[np.float16]
MAX_VARIANT = 256
MAX_SHOWN = 64
"""Slots of one request that can be labelled; further ones are only counted."""


class Kind(IntEnum):
    """What an example says."""

    NEGATIVE = 0
    POSITIVE = 1
    CORRECTION = 2  # an action after its slot was closed as a negative: unlearn that, learn a positive


@dataclass(frozen=True, slots=True)
class Labelled:
    """One slot with its label, its features as served and the probability the model then gave."""

    item: int
    kind: Kind
    features: NDArray[np.float32]
    schema: str
    position: int
    surface: str
    probability: float
    propensity: float
    ts: int  # event time of the impression (negative) or the action
    randomised: bool = False
    served: int = 0  # when the slate was served, ms: the order in which drift is judged
    user: int = 0
    swapped: int | None = None  # the upper slot of the pair that its request swapped
    variant: str = ""  # of the experiments its request was in
    action: str = CLICK  # of which it says whether it was done
    value: float = 1.0  # of the action as its event has it; 0 of a negative


@dataclass(slots=True)
class Pending:
    """A slate served, waiting for what the user does with it."""

    request_id: str
    ts: int
    surface: str
    schema: str
    items: list[int]
    positions: list[int]
    probabilities: list[float]
    propensities: list[float]
    features: Features  # [slots, F]
    randomised: bool = False
    swapped: int | None = None
    variant: str = ""
    trimmed: bool = False  # only what a later window is open for is left of it
    click: Marks = field(default_factory=Marks)  # opened: which slots were seen
    others: dict[str, Marks] = field(default_factory=dict)  # of further actions that are waited for

    def slot(self, item: int) -> int | None:
        """Where the item stands in the slate, if it does."""
        try:
            return self.items.index(item)
        except ValueError:
            return None

    def marks(self, action: str = CLICK) -> Marks:
        """What is open, acted on and closed for an action."""
        return self.click if action == CLICK else self.others.get(action, Marks())

    def _made(self, action: str) -> Marks:
        return self.click if action == CLICK else self.others.setdefault(action, Marks())

    def show(self, item: int, ts: int, window: int, action: str = CLICK) -> bool:
        """Open the window of an action for a slot; it closes ``window`` ms later. False if it is not of this slate."""
        at = self.slot(item)
        if at is None:
            return False
        self.open(at, ts + window, action)
        return True

    def open(self, at: int, due: int, action: str = CLICK) -> None:
        """Open the window of an action for the slot ``at``, until ``due``, ms."""
        self._made(action).open(at, due)

    def waits_for(self, action: str, item: int) -> bool:
        """Whether the window of an action was ever opened for the item's slot."""
        at = self.slot(item)
        return at is not None and self.marks(action).is_open(at)

    def act(
        self, item: int, ts: int, user: int = 0, action: str = CLICK, value: float = 1.0
    ) -> Labelled | None:
        """A positive (or the correction of a negative) for the slot acted on, once a slot and action."""
        at = self.slot(item)
        late = None if at is None else self._made(action).act(at)
        if at is None or late is None:
            return None
        return self._label(at, Kind.CORRECTION if late else Kind.POSITIVE, ts, user, action, value)

    def close(self, user: int = 0, action: str = CLICK) -> list[Labelled]:
        """The window is over: a negative for each slot that was open and not acted on, in order of position."""
        slots = self.marks(action).close()
        return [self._label(at, Kind.NEGATIVE, self.ts, user, action, 0.0) for at in slots]

    def foretold(self) -> list[tuple[float, bool]]:
        """Of each slot that was seen, the probability of a click as served, and whether it came so far."""
        marks = self.click
        return [(self.probabilities[at], bool(marks.acted >> at & 1)) for at in bits(marks.opened)]

    def outlives(self, time: int) -> bool:
        """Whether a window of a further action closes after a time, ms."""
        return any(marks.until > time for marks in self.others.values())

    def trim(self, before: int) -> bool:
        """Let go of all but the slots that a window open after ``before``, ms, waits for; False when none is."""
        later = {name: marks for name, marks in self.others.items() if marks.until > before}
        slots = bits(functools.reduce(operator.or_, (marks.opened for marks in later.values()), 0))
        if not slots:
            return False
        self.trimmed, self.others, self.click.due = True, later, 0
        for marks in (self.click, *later.values()):
            marks.take(slots)
        for column in ("items", "positions", "probabilities", "propensities"):
            values = getattr(self, column)
            setattr(self, column, [values[at] for at in slots])
        self.features = self.features[slots]
        return True

    def _label(self, at: int, kind: Kind, ts: int, user: int, action: str, value: float) -> Labelled:
        return Labelled(
            item=self.items[at],
            kind=kind,
            features=self.features[at].astype(np.float32),
            schema=self.schema,
            position=self.positions[at],
            surface=self.surface,
            probability=self.probabilities[at],
            propensity=self.propensities[at],
            ts=ts,
            randomised=self.randomised,
            served=self.ts,
            user=user,
            swapped=self.swapped,
            variant=self.variant,
            action=action,
            value=value,
        )


def from_exposure(event: Exposure, ints: Mapping[str, int]) -> Pending:
    """The pending request of a slate served; ``ints`` interns its items.

    Raises:
        ValueError: the features do not fit the number of slots.
    """
    slots = event.items[:MAX_SHOWN]
    flat = np.frombuffer(base64.b64decode(event.features, validate=True), dtype="<f2")
    if flat.size % max(len(event.items), 1):
        raise ValueError(f"features: {flat.size} values do not divide into {len(event.items)} slots")
    matrix = flat.reshape(len(event.items), -1)[: len(slots)] if event.items else flat.reshape(0, 0)
    return Pending(
        request_id=event.request_id,
        ts=event.ts,
        surface=event.surface,
        schema=event.feature_schema,
        items=[ints[slot.item_id] for slot in slots],
        positions=[slot.position for slot in slots],
        probabilities=[slot.probability for slot in slots],
        propensities=[slot.propensity for slot in slots],
        features=matrix,
        randomised="randomised" in event.flags,
        swapped=_swapped(event.context.get("swapped")),
        variant=_variant(event.context.get("variant")),
    )


def _swapped(told: object) -> int | None:
    return told if type(told) is int and 0 <= told < MAX_SHOWN - 1 else None


def _variant(told: object) -> str:
    return told[:MAX_VARIANT] if isinstance(told, str) else ""
