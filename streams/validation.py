"""The boundary: bytes from a producer become an event or a :class:`Rejected`, never an exception.

Types, ranges and sizes stand in the annotations of :mod:`online_models.events`; here they are enforced, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from online_models.events import SCHEMA_MAJOR, VALUED, Action, Item, Request, UserEvent

MAX_BYTES = 1_048_576
T = TypeVar("T")

_EVENT: TypeAdapter[UserEvent] = TypeAdapter(Annotated[UserEvent, Field(discriminator="type")])
_ITEM: TypeAdapter[Item] = TypeAdapter(Item)
_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a record is not an event: a reason to count by, the field at fault, and how to mend it."""

    reason: str  # one of: empty, too_large, json, field, schema, action, future
    detail: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the boundary checks beyond the schema."""

    actions: frozenset[str] = frozenset({"click"})
    max_skew_ms: int = 60_000
    max_bytes: int = MAX_BYTES


def event(value: bytes | None, appended: int, rules: Rules) -> UserEvent | Rejected:
    """An event as a producer wrote it, judged against the time its record was appended to the log, ms.

    >>> raw = b'{"type":"click","event_id":"e","user_id":"u","ts":5,"item_id":"i"}'
    >>> event(raw, 5, Rules()).item_id
    'i'
    >>> event(raw.replace(b'"i"', b'7'), 5, Rules())
    Rejected(reason='field', detail='item_id: Input should be a valid string', field='item_id')
    """
    parsed: UserEvent | Rejected | None = _at_once(value, rules)
    if parsed is None:
        parsed = _parse(_EVENT, value, rules)
    if isinstance(parsed, Rejected):
        return parsed
    if parsed.ts > appended + rules.max_skew_ms:
        ahead = parsed.ts - appended
        return Rejected(
            "future", f"ts: {ahead} ms ahead of the log; check the producer's clock and its unit", "ts"
        )
    return _declared(parsed, rules) if isinstance(parsed, Action) else parsed


def _declared(parsed: Action, rules: Rules) -> Action | Rejected:
    if parsed.action not in rules.actions:
        known = ", ".join(sorted(rules.actions))
        return Rejected("action", f"action: {parsed.action!r} is not declared; declared: {known}", "action")
    if parsed.action in VALUED and not 0.0 <= parsed.value <= 1.0:
        return Rejected("field", f"value: of {parsed.action} from 0 to 1, not {parsed.value:g}", "value")
    return parsed


def item(value: bytes | None, rules: Rules) -> Item | Rejected:
    """A catalogue entry; a null value is for the caller to take as a retirement."""
    return _parse(_ITEM, value, rules)


def request(value: bytes | None, rules: Rules) -> Request | Rejected:
    """A request for a slate."""
    return _parse(_REQUEST, value, rules)


def _at_once(value: bytes | None, rules: Rules) -> UserEvent | None:
    """An event that is right, by one pass; what is not, or might not be, is for :func:`_parse` to tell apart."""
    if not value or len(value) > rules.max_bytes or b"NaN" in value or b"Infinity" in value:
        return None
    try:
        parsed: UserEvent = _EVENT.validator.validate_json(
            value, strict=True
        )  # as the adapter, without its options
    except ValidationError:
        return None
    return parsed if parsed.v == SCHEMA_MAJOR else None


def _parse(adapter: TypeAdapter[T], value: bytes | None, rules: Rules) -> T | Rejected:
    if not value:
        return Rejected("empty", "the record has no value; an event is a JSON object")
    if len(value) > rules.max_bytes:
        return Rejected("too_large", f"{len(value)} bytes, at most {rules.max_bytes}")
    try:
        plain = orjson.loads(value)  # refuses NaN, infinities, broken UTF-8 and lone surrogates
    except orjson.JSONDecodeError as error:
        return Rejected("json", f"not JSON: {error}")
    if isinstance(plain, dict) and not _version_known(plain):
        return Rejected("schema", f"v: {plain['v']!r} is not read here, {SCHEMA_MAJOR} is", "v")
    try:
        return adapter.validate_json(value, strict=True)
    except ValidationError as error:
        return _rejected(error)


def _version_known(plain: dict[str, Any]) -> bool:
    version = plain.get("v", SCHEMA_MAJOR)
    return type(version) is int and version == SCHEMA_MAJOR


def _rejected(error: ValidationError) -> Rejected:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    types = {"exposure", "impression", "click", "action", "profile", "identify", "privacy"}
    path = [str(part) for k, part in enumerate(first["loc"]) if not (k == 0 and part in types)]
    name = ".".join(path) or ("type" if "tag" in first["type"] else "")
    return Rejected("field", f"{name or 'value'}: {first['msg']}", name)
