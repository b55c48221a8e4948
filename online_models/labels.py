"""From what was served and what was done to labelled examples: the join of exposures, impressions and actions.

A slate served is kept as a pending request. An impression says which of its slots were seen and opens the attribution
window; an action inside the window is a positive at once; a slot whose window closes without one is a negative. An
action after that corrects the negative. Features are those the slate was served with, never computed again.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from online_models.errors import FreshetError
from online_models.events import Exposure

Features = NDArray[np.float16]
_HEAD = struct.Struct("<BBqqHHBBBH")
_MARKS = struct.Struct("<qQQQ")
_VERSION = 2
_READ = (1, 2)  # 1 knew neither swaps nor variants: what it left 0 reads as none
MAX_VARIANT = 256
MAX_SHOWN = 64
"""Slots of one request that can be labelled; further ones are only counted."""


class PendingCorrupt(FreshetError):
    """A stored pending request cannot be read."""


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
    due: int = 0  # when the window closes, ms; 0 while nothing was seen
    shown: int = 0  # bit masks over slots
    acted: int = 0
    closed: int = 0

    def slot(self, item: int) -> int | None:
        """Where the item stands in the slate, if it does."""
        try:
            return self.items.index(item)
        except ValueError:
            return None

    def show(self, item: int, ts: int, window: int) -> bool:
        """Note that a slot was seen; its window closes ``window`` ms later. False if it is not of this slate."""
        at = self.slot(item)
        if at is None:
            return False
        self.shown |= 1 << at
        if not self.closed >> at & 1:
            self.due = max(self.due, ts + window)
        return True

    def act(self, item: int, ts: int, user: int = 0) -> Labelled | None:
        """A positive (or the correction of a negative) for the slot acted on, once a slot."""
        at = self.slot(item)
        if at is None or self.acted >> at & 1:
            return None
        late = bool(self.closed >> at & 1)
        self.acted |= 1 << at
        self.shown |= 1 << at
        self.closed |= 1 << at
        return self._label(at, Kind.CORRECTION if late else Kind.POSITIVE, ts, user)

    def close(self, user: int = 0) -> list[Labelled]:
        """The window is over: a negative for each slot seen and not acted on, in order of position."""
        left = self.shown & ~self.closed
        self.closed |= left
        self.due = 0
        slots = [at for at in range(len(self.items)) if left >> at & 1]
        return [self._label(at, Kind.NEGATIVE, self.ts, user) for at in slots]

    def _label(self, at: int, kind: Kind, ts: int, user: int) -> Labelled:
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


def encode(p: Pending) -> bytes:
    """The request as bytes for Redis; float16 features, little-endian, versioned.

    One byte holds both randomised (its lowest bit) and the swapped slot plus 1.
    """
    surface, schema, rid = p.surface.encode(), p.schema.encode(), p.request_id.encode()
    variant = p.variant.encode()
    how = int(p.randomised) | (0 if p.swapped is None else (p.swapped + 1) << 1)
    width = p.features.shape[1] if p.features.ndim == 2 else 0
    head = _HEAD.pack(
        _VERSION, len(p.items), p.ts, p.due, len(rid), width, len(surface), len(schema), how, len(variant)
    )
    masks = struct.pack("<QQQ", p.shown, p.acted, p.closed)
    numbers = (
        np.array(p.items, dtype="<u4").tobytes()
        + np.array(p.positions, dtype="<u2").tobytes()
        + np.array(p.probabilities, dtype="<f4").tobytes()
        + np.array(p.propensities, dtype="<f4").tobytes()
    )
    texts = (rid, surface, schema, variant)
    return b"".join((head, masks, *texts, numbers, p.features.astype("<f2").tobytes()))


def encode_marks(p: Pending) -> bytes:
    """What changes of a request once it is stored: when its window closes, and what was seen, acted on and closed."""
    return _MARKS.pack(p.due, p.shown, p.acted, p.closed)


def decode(raw: bytes, marks: bytes | None = None) -> Pending:
    """The request :func:`encode` wrote, with the newer ``marks`` of :func:`encode_marks` where there are any.

    Raises:
        PendingCorrupt: the version is unknown or the length does not fit.
    """
    try:
        pending = _Reader(raw).pending()
        if marks is not None:
            pending.due, pending.shown, pending.acted, pending.closed = _MARKS.unpack(marks)
        return pending
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise PendingCorrupt(f"pending request of {len(raw)} bytes cannot be read: {error}") from error


@dataclass(slots=True)
class _Reader:
    raw: bytes
    at: int = field(default=0)

    def take(self, n: int) -> bytes:
        piece = self.raw[self.at : self.at + n]
        if len(piece) != n:
            raise ValueError("its length does not fit its header")
        self.at += n
        return piece

    def pending(self) -> Pending:
        version, n, ts, due, rid, width, surface, schema, how, variant = _HEAD.unpack(self.take(_HEAD.size))
        if version not in _READ:
            raise ValueError(f"version {version}, this build reads {' and '.join(map(str, _READ))}")
        shown, acted, closed = struct.unpack("<QQQ", self.take(24))
        request_id, surface, schema, variant = (
            self.take(k).decode() for k in (rid, surface, schema, variant)
        )
        return Pending(
            request_id=request_id,
            ts=ts,
            surface=surface,
            schema=schema,
            items=np.frombuffer(self.take(4 * n), "<u4").tolist(),
            positions=np.frombuffer(self.take(2 * n), "<u2").tolist(),
            probabilities=np.frombuffer(self.take(4 * n), "<f4").tolist(),
            propensities=np.frombuffer(self.take(4 * n), "<f4").tolist(),
            features=np.frombuffer(self.take(2 * n * width), "<f2").reshape(n, width).copy(),
            randomised=bool(how & 1),
            swapped=(how >> 1) - 1 if how >> 1 else None,
            variant=variant,
            due=due,
            shown=shown,
            acted=acted,
            closed=closed,
        )
