"""The Open Bandit Dataset (Saito et al., 2020): one item an impression, drawn with a logged probability.

The target chooses among the campaign's items by their click rate relative to the mean, as the *other* folds know it:
a policy must not have seen the clicks it is judged by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import open_dataset
from evaluation.ope.model import FOLDS, SHRINK, folds_of, table_of
from evaluation.ope.records import Floats, Indices
from evaluation.ope.report import row, worst
from evaluation.ope.single import Parts, direct, doubly_robust, inverse_propensity, self_normalised
from evaluation.ope.targets import policy_of
from evaluation.records import DatasetError, LoggedImpression
from online_models.bandit import Policy

MODEL_ONLY = "the direct method's interval does not hold the model's own error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impressions:
    """``n`` impressions as arrays: who, which item in which slot, whether clicked, with which propensity."""

    user: Indices
    item: Indices
    slot: Indices
    click: Floats
    propensity: Floats

    @classmethod
    def of(cls, records: Iterable[LoggedImpression]) -> Impressions:
        """From records; users and items are numbered in order of name."""
        told = list(records)
        user = np.unique([record.user for record in told], return_inverse=True)[1]
        item = np.unique([record.item for record in told], return_inverse=True)[1]
        slot = np.array([record.position for record in told], np.intp)
        return cls(
            user=user.astype(np.intp), item=item.astype(np.intp), slot=slot - slot.min(),
            click=np.array([record.click for record in told], np.float64),
            propensity=np.array([record.propensity for record in told]),
        )  # fmt: skip


def read_impressions(path: Path) -> Impressions:
    """The impressions of a file.

    Raises:
        DatasetError: it holds something else, or nothing.
    """
    records = [r for r in open_dataset(path).records if isinstance(r, LoggedImpression)]
    if not records:
        raise DatasetError(
            f"{path.name}: holds no logged impressions; wanted a file of the Open Bandit Dataset"
        )
    return Impressions.of(records)


def evaluate(data: Impressions, target: str, *, seed: int = 0) -> dict[str, Any]:
    """The report on a target policy, ready for JSON; rates are clicks an impression.

    Raises:
        ValueError: there is no such policy.
    """
    parts, weight = parts_of(data, policy_of(target), seed=seed)
    both = weight[:, None], data.click[:, None]
    rows = [
        row(name, each, *both, data.user, note=MODEL_ONLY if name == "direct method" else "", seed=seed)
        for name, each in parts.items()
    ]
    return {
        "policy": target, "impressions": len(data.click), "clicks": int(data.click.sum()),
        "users": int(data.user.max()) + 1, "items": int(data.item.max()) + 1,
        "as_logged": float(data.click.mean()), "unit": "clicks an impression",
        "verdict": worst([each.verdict for each in rows]), "estimates": [asdict(each) for each in rows],
    }  # fmt: skip


def parts_of(data: Impressions, target: Policy, *, seed: int = 0) -> tuple[dict[str, Parts], Floats]:
    """Every estimator's numerator and denominator an impression, and the weights."""
    chance, drawn, looked = _cross_fitted(data, target, seed)
    weight = chance / data.propensity
    return {
        "IPS": inverse_propensity(weight, data.click),
        "SNIPS": self_normalised(weight, data.click),
        "direct method": direct(looked),
        "doubly robust": doubly_robust(weight, data.click, drawn, looked),
    }, weight


def _cross_fitted(data: Impressions, target: Policy, seed: int) -> tuple[Floats, Floats, Floats]:
    """Of each impression: the target's probability of what was shown, the model's guess of it and of the target."""
    fold = folds_of(data.user, seed=seed)
    slots, items = int(data.slot.max()) + 1, int(data.item.max()) + 1
    chance, drawn, looked = (np.zeros(len(data.click)) for _ in range(3))
    for k in range(FOLDS):
        mine, others = fold == k, fold != k
        if not mine.any() or not others.any():
            continue
        table = table_of(data.slot[others], data.item[others], data.click[others], slots, items)
        pi = target.probabilities(_lift(data, others, items), np.arange(items))
        slot, item = data.slot[mine], data.item[mine]
        chance[mine], drawn[mine] = pi[item], table[slot, item]
        looked[mine] = (table @ pi)[slot]
    return chance, drawn, looked


def _lift(data: Impressions, rows: NDArray[np.bool_], items: int) -> Floats:
    """An item's click rate over the mean of all, drawn to 1 where little is known."""
    shown = np.bincount(data.item[rows], minlength=items) * data.click[rows].mean()
    out: Floats = (np.bincount(data.item[rows], data.click[rows], items) + SHRINK) / (shown + SHRINK)
    return out
