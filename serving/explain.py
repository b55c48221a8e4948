"""Why an item stands where it stands: what each source said, and what each feature added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.candidates import Candidates
from online_models.heads import Heads
from online_models.learner import Learner
from online_models.objective_value import Valued
from serving.types import SlateRequest

MOST = 12
"""Contributions told of each head, the largest first."""


def reasons(
    learner: Learner,
    heads: Heads,
    c: Candidates,
    row: int,
    features: NDArray[np.float16],
    position: int,
    request: SlateRequest,
) -> dict[str, Any]:
    """Of one slot: the features as served, and how they add up in either head."""
    order = heads.ordering.contributions(c, row)
    click = heads.ranker.contributions(features.astype(np.float32), position, request.surface)
    served = dict(zip(learner.features, features.astype(float).round(4).tolist(), strict=True))
    said = {
        name.removesuffix(".score"): round(value, 4)
        for name, value in served.items()
        if name.endswith(".score") and value > 0.1  # 0 stands for a source with nothing to say
    }
    return {
        "sources": said,
        "order": {name: round(value, 4) for name, value in list(order.items())[:MOST]},
        "click": {name: round(value, 4) for name, value in click[:MOST]},
        "click_weight": round(heads.click_weight, 4),
        "features": served,
    }


def worth(valued: Valued | None, row: int) -> dict[str, Any]:
    """What showing a candidate is worth, where more than clicks counts: each head's word, the weights, the sum."""
    if valued is None:
        return {}
    said = {"click": valued.clicks, **valued.said}
    return {
        "objectives": {
            "weights": valued.weights.plain(),
            "said": {action: round(float(p[row]), 6) for action, p in said.items()},
            "after_click": sorted(set(valued.after_click) & set(valued.said)),
            "value": round(float(valued.value(valued.clicks)[row]), 6),
        }
    }
