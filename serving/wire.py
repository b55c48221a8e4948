"""A slate as it stands on the wire: the exposure that is learnt from, and the answer that is shown."""

from __future__ import annotations

import base64
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson

from online_models.events import SCHEMA_MAJOR
from online_models.objective_weights import CLICK
from serving.types import Aims, Choice, Slate

MAX_ID = 256
Encodable = list[dict[str, Any]] | orjson.Fragment | None


def named(kind: str, what: str) -> str:
    """An id made from another one, no longer than an id may be.

    >>> named("auto", "e1"), len(named("auto", "e" * 256))
    ('auto-e1', 37)
    """
    plain = f"{kind}-{what}"
    return plain if len(plain) <= MAX_ID else f"{kind}-{blake2b(what.encode(), digest_size=16).hexdigest()}"


def slots(slate: Slate) -> list[dict[str, Any]]:
    """What is told of each slot, in every record that tells of the slate."""
    scores = np.round([item.score for item in slate.items], 6).tolist()
    likely = np.round([item.probability for item in slate.items], 6).tolist()
    return [
        {
            "item_id": item.item_id,
            "position": item.position,
            "score": score,
            "source": item.source,
            "propensity": item.propensity,
            "probability": probability,
        }
        for item, score, probability in zip(slate.items, scores, likely, strict=True)
    ]


def exposure(slate: Slate, now: int, items: Encodable = None) -> dict[str, Any]:
    """The slate as an event of type ``exposure`` (:class:`online_models.events.Exposure`).

    Args:
        items: :func:`slots`, where they are at hand, encoded or not.
    """
    context: dict[str, Any] = {}
    if slate.swapped is not None:
        context["swapped"] = slate.swapped
    if slate.variant:
        context["variant"] = slate.variant
        context["took_ms"] = round(slate.took_ms, 3)
    if slate.aims is not None:
        context["objectives"] = _aims(slate.aims)
    if slate.choice is not None:
        context["choice"] = _choice(slate.choice)
    return {
        "v": SCHEMA_MAJOR,
        "type": "exposure",
        "event_id": named("x", slate.request_id),
        "user_id": slate.user_id,
        "ts": now,
        "request_id": slate.request_id,
        "surface": slate.surface,
        "items": slots(slate) if items is None else items,
        "features": _packed(slate),
        "feature_schema": slate.feature_schema if slate.features is not None else "",
        "policy": slate.policy,
        "model_version": slate.model_version,
        "flags": list(slate.flags),
        "context": context,
    }


def recommendation(
    slate: Slate, now: int, *, freshness_ms: int | None, caused_by: str, items: Encodable = None
) -> dict[str, Any]:
    """The slate as a record of ``recommendations``; repeats of one cause have the same ``id``.

    Args:
        items: :func:`slots`, where they are at hand, encoded or not.
    """
    told: dict[str, Any] = {
        "v": SCHEMA_MAJOR,
        "id": slate.request_id,
        "request_id": slate.request_id,
        "user_id": slate.user_id,
        "surface": slate.surface,
        "items": slots(slate) if items is None else items,
        "model_version": slate.model_version,
        "policy": slate.policy,
        "ts": now,
        "caused_by": caused_by,
    }
    if freshness_ms is not None:
        told["freshness_ms"] = freshness_ms
    if slate.degraded:
        told["degraded"] = slate.degraded
    if slate.variant:
        told["variant"] = slate.variant
    if slate.aims is not None:
        told["objectives"] = slate.aims.weights.version
    return told


def answer(slate: Slate, now: int) -> dict[str, Any]:
    """The slate as HTTP answers it: with titles, and reasons where they were asked for."""
    items = []
    for item, slot in zip(slate.items, slots(slate), strict=True):
        shown = {**slot, "title": item.title}
        if item.reasons is not None:
            shown["reasons"] = item.reasons
        items.append(shown)
    return {
        "request_id": slate.request_id,
        "user_id": slate.user_id,
        "surface": slate.surface,
        "items": items,
        "model_version": slate.model_version,
        "policy": slate.policy,
        "variant": slate.variant or None,
        "objectives": slate.aims.weights.version if slate.aims is not None else CLICK,
        "flags": list(slate.flags),
        "removed": dict(slate.removed),
        "degraded": slate.degraded or None,
        "ts": now,
    }


def _packed(slate: Slate) -> str:
    """Features as base64 of little-endian float16, a row a slot."""
    if slate.features is None:
        return ""
    return base64.b64encode(slate.features.astype("<f2").tobytes()).decode()


def _aims(aims: Aims) -> dict[str, Any]:
    said = {action: [round(p, 6) for p in slots] for action, slots in aims.said.items()}
    return {"version": aims.weights.version, "weights": aims.weights.plain(), "said": said}


def _choice(choice: Choice) -> dict[str, Any]:
    """What the slate was drawn from: items, the scores drawn by, and per slot the places barred by a cap.

    ``rows`` (little-endian float16) and ``likeness`` (bytes) are base64, a row after the other.
    """
    told: dict[str, Any] = {
        "items": list(choice.items),
        "scores": [round(score, 5) for score in choice.scores.tolist()],
        "barred": [list(places) for places in choice.barred],
    }
    if choice.rows is not None:
        told["rows"] = base64.b64encode(choice.rows.astype("<f2").tobytes()).decode()
    if choice.likeness is not None:
        told["penalty"] = choice.penalty
        told["likeness"] = base64.b64encode(choice.likeness.tobytes()).decode()
    return told
