"""The vocabulary: everything a user or a catalogue can tell freshet, as frozen values with their bounds.

The bounds stand in the annotations (``annotated_types``), so that the boundary validates what is written here and
nothing has to be said twice. Times are integer milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval, MaxLen, MinLen
from pydantic import AfterValidator

SCHEMA_MAJOR = 1

Id = Annotated[str, MinLen(1), MaxLen(256)]
Name = Annotated[str, MinLen(1), MaxLen(64)]
Millis = Annotated[int, Interval(ge=0, le=4_102_444_800_000)]  # up to the year 2100
Position = Annotated[int, Interval(ge=0, le=10_000)]
Share = Annotated[float, Interval(ge=0.0, le=1.0)]
Context = Annotated[dict[str, Any], MaxLen(64)]
MAX_SLOTS = 500
VALUED = frozenset({"watch"})
"""Actions whose ``value`` says how much, from 0 to 1: the share that was watched, read or heard."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One slot of an impression: which item, and where it stood (0 is the top)."""

    item_id: Id
    position: Position = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a slate we served, with the probability of its choice given the slots before it."""

    item_id: Id
    position: Position
    propensity: Share = 1.0
    score: float = 0.0
    source: Annotated[str, MaxLen(64)] = ""
    probability: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A slate as served: written by freshet's own agents and API, never by producers."""

    type: Literal["exposure"]
    event_id: Id
    user_id: Id
    ts: Millis
    request_id: Id
    items: Annotated[list[Slot], MaxLen(MAX_SLOTS)]
    surface: Name = "default"
    features: Annotated[str, MaxLen(1_000_000)] = ""  # base64 of little-endian float16, one row a slot
    feature_schema: Annotated[str, MaxLen(64)] = ""
    policy: Annotated[str, MaxLen(64)] = ""
    model_version: Annotated[str, MaxLen(64)] = ""
    flags: Annotated[list[Name], MaxLen(16)] = field(default_factory=list)
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impression:
    """Which slots a user really saw."""

    type: Literal["impression"]
    event_id: Id
    user_id: Id
    ts: Millis
    items: Annotated[list[Shown], MinLen(1), MaxLen(MAX_SLOTS)]
    request_id: Annotated[str, MaxLen(256)] | None = None
    surface: Name = "default"
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """The commonest action, with a type of its own to keep producers' records short."""

    type: Literal["click"]
    event_id: Id
    user_id: Id
    ts: Millis
    item_id: Id
    request_id: Annotated[str, MaxLen(256)] | None = None
    surface: Name = "default"
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)

    @property
    def action(self) -> str:
        """A click is the action named ``click``."""
        return "click"

    @property
    def value(self) -> float:
        """A click carries no value of its own."""
        return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Anything else a user does to an item: like, purchase, skip, watch, dislike, not_interested, ..."""

    type: Literal["action"]
    event_id: Id
    user_id: Id
    ts: Millis
    item_id: Id
    action: Name
    value: Annotated[float, Interval(ge=-1e9, le=1e9)] = 1.0
    request_id: Annotated[str, MaxLen(256)] | None = None
    surface: Name = "default"
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is known of a user beyond what the user did."""

    type: Literal["profile"]
    event_id: Id
    user_id: Id
    ts: Millis
    attributes: Annotated[dict[str, Any], MaxLen(64)] = field(default_factory=dict)
    group: Annotated[str, MaxLen(64)] = ""
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identify:
    """An anonymous session turned out to be this user: its history is merged into the user's."""

    type: Literal["identify"]
    event_id: Id
    user_id: Id
    ts: Millis
    anonymous_id: Id
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """A user asks to be forgotten, or for a copy of what is held."""

    type: Literal["privacy"]
    event_id: Id
    user_id: Id
    ts: Millis
    request: Literal["deletion", "export"]
    v: int = SCHEMA_MAJOR
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A catalogue entry; a null value on the topic retires the item instead."""

    item_id: Id
    title: Annotated[str, MaxLen(2_000)] = ""
    tags: Annotated[list[Annotated[str, MinLen(1), MaxLen(128)]], MaxLen(256)] = field(default_factory=list)
    attributes: Annotated[dict[str, Any], MaxLen(256)] = field(default_factory=dict)
    provider: Annotated[str, MaxLen(256)] = ""
    embedding: Annotated[list[float], MaxLen(4_096)] | None = None
    created_at: Millis | None = None
    available: bool = True
    ts: Millis = 0
    v: int = SCHEMA_MAJOR


@dataclass(frozen=True, slots=True)
class Filter:
    """What a request restricts the slate to; empty means no restriction."""

    tags: Annotated[list[str], MaxLen(64)] = field(default_factory=list)
    providers: Annotated[list[str], MaxLen(64)] = field(default_factory=list)


def _apart(pins: dict[str, int]) -> dict[str, int]:
    if len(set(pins.values())) < len(pins):
        raise ValueError("two items are pinned to one position; give each its own")
    return pins


Pins = Annotated[dict[Id, Annotated[int, Interval(ge=0, lt=MAX_SLOTS)]], MaxLen(20), AfterValidator(_apart)]
"""Items that are to stand at a position (0 for the top), whatever their score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Somebody wants a slate for a user."""

    request_id: Id
    user_id: Id
    surface: Name = "default"
    n: Annotated[int, Interval(ge=1, le=MAX_SLOTS)] | None = None
    exclude: Annotated[list[Id], MaxLen(1_000)] = field(default_factory=list)
    filter: Filter = field(default_factory=Filter)
    pins: Pins = field(default_factory=dict)
    context: Context = field(default_factory=dict)
    ts: Annotated[int, Ge(0)] = 0
    v: int = SCHEMA_MAJOR


UserEvent = Exposure | Impression | Click | Action | Profile | Identify | Privacy
