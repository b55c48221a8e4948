"""Reading the exposures log: JSON, one record a line, exposures and what users did with them in any order.

An ``exposure`` counts when it is flagged ``randomised`` and says from what it was drawn (``choice``); ``click`` lines
belong to it by ``request_id`` and ``item_id``. A line may name its ``clicks`` itself. Where the log holds any
``impression``, a slate without one was never displayed. Nothing vanishes: what is left out is counted by reason.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evaluation.datasets import open_lines
from evaluation.ope.records import Floats, Indices, Log, LoggedSlate
from evaluation.records import DatasetError

EXCLUDING = ("degraded", "cached", "interleaved", "swapped", "filled_up", "over_day_cap", "never_displayed")
"""Flags of slates that are no draw of the policy, or that nobody saw."""


def read_log(path: Path) -> Log:
    """The slates of a file, plain or gzip.

    Raises:
        DatasetError: a line is no JSON object; the text names it.
    """
    with open_lines(path) as lines:
        return log_of(_records(lines, path.name))


def log_of(records: Iterable[Mapping[str, Any]]) -> Log:
    """The slates that can be evaluated, and what was left out.

    >>> choice = {"items": ["a", "b"], "scores": [0.0, 1.0]}
    >>> shown = {"type": "exposure", "request_id": "r1", "user_id": "u", "flags": ["randomised"], "choice": choice,
    ...          "items": [{"item_id": "b", "position": 0, "propensity": 0.7}]}
    >>> click = {"type": "click", "request_id": "r1", "item_id": "b"}
    >>> log = log_of([shown, click, {**shown, "request_id": "r2", "flags": []}])
    >>> log.slates[0].clicks, dict(log.excluded)
    ((True,), {'not randomised': 1})
    """
    heap = _Heap()
    for record in records:
        heap.add(record)
    slates, excluded = [], heap.excluded
    for request_id, exposure in heap.exposures.items():
        found = heap.reason(request_id, exposure) or _slate(exposure, heap.clicked.get(request_id, set()))
        if isinstance(found, str):
            excluded[found] += 1
        else:
            slates.append(found)
    return Log(tuple(slates), excluded)


@dataclass(slots=True)
class _Heap:
    exposures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    clicked: dict[str, set[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    excluded: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        kind, request_id = record.get("type", "exposure"), str(record.get("request_id") or "")
        if kind == "exposure" and request_id in self.exposures:
            self.excluded["request repeated"] += 1
        elif kind == "exposure":
            self.exposures[request_id] = record
            self.clicked.setdefault(request_id, set()).update(map(str, record.get("clicks", ())))
        elif kind == "click" and request_id:
            self.clicked.setdefault(request_id, set()).add(str(record.get("item_id")))
        elif kind == "impression":
            self.seen.add(request_id)

    def reason(self, request_id: str, exposure: Mapping[str, Any]) -> str | None:
        """Why an exposure is no draw that somebody saw; None when it is."""
        flags = exposure.get("flags", ())
        if "randomised" not in flags:
            return "not randomised"
        for flag in EXCLUDING:
            if flag in flags:
                return flag.replace("_", " ")
        return "never displayed" if self.seen and request_id not in self.seen else None


def _records(lines: Iterator[str], name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise DatasetError(f"{name}: line {number}: wanted a JSON object, found {line[:60]!r}") from error
        if not isinstance(record, dict):
            raise DatasetError(f"{name}: line {number}: wanted a JSON object, found {line[:60]!r}")
        yield record


def _slate(exposure: Mapping[str, Any], clicked: set[str]) -> LoggedSlate | str:
    """The slate of an exposure, or why it is none that can be evaluated."""
    choice = exposure.get("choice") or exposure.get("context", {}).get("choice")
    slots = sorted(exposure.get("items", ()), key=lambda slot: slot["position"])
    if not choice:
        return "eligible set not logged"
    if not slots:
        return "empty slate"
    candidates = tuple(map(str, choice["items"]))
    items = [str(slot["item_id"]) for slot in slots]
    drawn = _drawn(slots, items, candidates, exposure["flags"], list(choice.get("barred") or ()))
    if drawn is None:
        return "shown item not in eligible set"
    propensities = tuple(float(slot["propensity"]) for slot in slots)
    if not all(0.0 < p <= 1.0 for p in propensities):
        return "propensity not in (0, 1]"
    chosen, eligible, free = drawn
    try:
        rows, taken = _packed(choice, len(candidates), len(chosen))
    except (KeyError, ValueError):
        return "scores not readable"
    return LoggedSlate(
        request_id=str(exposure["request_id"]), user_id=str(exposure["user_id"]), candidates=candidates,
        scores=np.array(choice["scores"], np.float64), chosen=chosen, eligible=eligible,
        free=free and rows is None and taken is None, rows=rows, taken=taken,
        propensities=propensities, clicks=tuple(item in clicked for item in items),
        policy=str(exposure.get("policy", "")),
    )  # fmt: skip


def _drawn(
    slots: list[Any], items: list[str], candidates: tuple[str, ...], flags: list[str], barred: list[Any]
) -> tuple[tuple[int, ...], tuple[Indices, ...], bool] | None:
    """What was chosen, what could have been, and whether nothing was barred; None where these contradict."""
    place = {item: k for k, item in enumerate(candidates)}
    if any(item not in place for item in items):
        return None
    chosen = tuple(place[item] for item in items)
    pins = {k for k, slot in enumerate(slots) if "pinned" in flags and slot["propensity"] == 1.0}
    eligible = tuple(_eligible(len(candidates), chosen, k, barred, pins) for k in range(len(chosen)))
    if any(k not in able for k, able in zip(chosen, eligible, strict=True)):
        return None
    return chosen, eligible, not pins and not any(barred)


def _packed(choice: Mapping[str, Any], count: int, slots: int) -> tuple[Floats | None, Floats | None]:
    """Rows of scores, and what diversity took off in each slot; None for what there was not."""
    rows = taken = None
    if "rows" in choice:
        rows = np.frombuffer(base64.b64decode(choice["rows"]), "<f2").reshape(-1, count).astype(np.float64)
    if "likeness" in choice:
        steps = np.frombuffer(base64.b64decode(choice["likeness"]), np.uint8).reshape(-1, count)
        taken = np.zeros((slots, count))
        taken[1:] = choice["penalty"] * steps[: slots - 1] / 255.0
    return rows, taken


def _eligible(count: int, chosen: tuple[int, ...], slot: int, barred: list[Any], pins: set[int]) -> Indices:
    """What could stand in a slot: all that did not stand above, is not pinned elsewhere and was not barred here."""
    if slot in pins:
        return np.array([chosen[slot]])
    able = np.ones(count, dtype=bool)
    able[[*chosen[:slot], *(chosen[pin] for pin in pins)]] = False
    if slot < len(barred):
        able[np.array(barred[slot], dtype=np.intp)] = False
    return np.flatnonzero(able)
