"""What the console shows of models, items and users, as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.history import UserRecord
from serving.recommender import Recommender

MAP_ITEMS = 2_000
MAP_AGE_MS = 10_000


def history(recommender: Recommender, record: UserRecord) -> list[dict[str, Any]]:
    """The last items acted on, newest first."""
    pairs = list(zip(record.recent_items, record.recent_ts, strict=True))[::-1]
    return [{**_item(recommender, number), "ts": ts} for number, ts in pairs]


def items(recommender: Recommender, n: int, q: str = "") -> list[dict[str, Any]]:
    """Items with exposure and click rate, the most shown first, ties by the lower number."""
    shown, clicked = _counts(recommender)
    order = np.argsort(-shown, kind="stable").astype(np.int32)
    rates = recommender.learner.counters.click_rate(order)
    out: list[dict[str, Any]] = []
    wanted = q.strip().lower()
    for number, rate in zip(order.tolist(), rates.tolist(), strict=True):
        row = _item(recommender, number)
        if wanted and not _matches(row, wanted):
            continue
        row |= {"shown": int(shown[number]), "clicked": int(clicked[number]), "rate": round(rate, 5)}
        out.append(row)
        if len(out) >= n:
            break
    return out


def _matches(row: dict[str, Any], wanted: str) -> bool:
    words = (row["item_id"], row["title"], *row["tags"])
    return any(wanted in str(word).lower() for word in words)


def _item(recommender: Recommender, number: int) -> dict[str, Any]:
    catalog = recommender.catalog
    return {
        "item_id": recommender.interner.name(number),
        "title": catalog.title(number),
        "tags": list(catalog.tags(number)),
    }


def _counts(recommender: Recommender) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Impressions and clicks of every item that has a name, int64[items] each."""
    known = len(recommender.interner)
    out = []
    for action in ("impression", "click"):
        row = np.zeros(known, dtype=np.int64)
        held = recommender.learner.counters.counts.get(action, row)[:known]
        row[: len(held)] = held
        out.append(row)
    return out[0], out[1]


def principal(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Vectors on their two principal axes, float64[n, 2], within -1 and 1.

    >>> principal(np.array([[1, 0, 0], [-1, 0, 0], [0, 0.5, 0], [0, -0.5, 0]], np.float32)).round(1).tolist()
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]]
    """
    if len(vectors) < 3:
        return np.zeros((len(vectors), 2))
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # an axis and its opposite are the same; the sign of the largest part decides, so that the map does not flip
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    flat = centred @ (axes * signs[:, None])[:2].T
    out: NDArray[np.float64] = flat / max(float(np.abs(flat).max()), 1e-12) + 0.0
    return out


class ItemMap:
    """Item vectors in two dimensions, computed again when older than some seconds."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender
        self._at = 0
        self._held: dict[str, Any] = {}

    def get(self, now: int) -> dict[str, Any]:
        """The points of the items most shown, with what colours them."""
        if not self._held or now - self._at > MAP_AGE_MS:
            self._held, self._at = self._made(now), now
        return self._held

    def _made(self, now: int) -> dict[str, Any]:
        recommender = self._recommender
        shown, _ = _counts(recommender)
        ids: Ids = np.argsort(-shown, kind="stable")[:MAP_ITEMS].astype(np.int32)
        vectors = recommender.learner.model.vectors(ids)
        has = np.abs(vectors).sum(axis=1) > 0
        ids, at = ids[has], principal(vectors[has])
        points = [
            {**_item(recommender, n), "x": round(x, 4), "y": round(y, 4), "shown": int(shown[n])}
            for n, (x, y) in zip(ids.tolist(), at.tolist(), strict=True)
        ]
        return {"points": points, "ts": now}


def models(recommender: Recommender) -> dict[str, Any]:
    """Versions, weights of both heads, and calibration by surface."""
    learner = recommender.learner
    linear = learner.model.head.parameters["linear"][0]
    order = dict(zip(learner.model.head.schema.names, linear.astype(float).round(4).tolist(), strict=True))
    click = dict(
        zip(
            learner.ranker.names,
            learner.ranker.optimizer.weights.astype(float).round(4).tolist(),
            strict=True,
        )
    )
    return {
        "version": recommender.model_version,
        "schema": learner.schema,
        "examples": {"order": learner.model.head.examples, "click": learner.ranker.examples},
        "frozen": learner.frozen,
        "order": _largest(order),
        "click": _largest(click),
        "calibration": {
            name: [round(v, 4) for v in learner.calibration.get(name)] for name in recommender.surfaces
        },
        "surfaces": {name: _policy(recommender, name) for name in recommender.surfaces},
    }


def _policy(recommender: Recommender, name: str) -> dict[str, Any]:
    surface = recommender.surface(name)
    share = surface.randomised_share if recommender.exploring else 0.0
    return {"policy": surface.policy, "randomised_share": share, "seen": surface.seen}


def _largest(weights: dict[str, float]) -> list[tuple[str, float]]:
    moved = [(name, weight) for name, weight in weights.items() if weight]
    return sorted(moved, key=lambda row: (-abs(row[1]), row[0]))[:24]


def failures(recommender: Recommender) -> dict[str, int]:
    """Sources that gave no answer, and how often."""
    stats = recommender.learner.model.stats
    return {k.removeprefix("source_failed."): n for k, n in stats.items() if k.startswith("source_failed.")}
