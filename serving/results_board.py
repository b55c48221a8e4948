"""What all workers told of experiments, added up, and the test of each variant over all looks so far."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

from online_models.experiment_stats import difference
from online_models.sequential import AlwaysValid
from online_models.user_sums import CLICKS, IMPRESSIONS, UserSums
from serving.experiment_plan import Plan
from serving.experiment_report import EFFECT, Design, report
from serving.treatments import TIERS


class ResultsBoard:
    """Results as heard: each worker's last word counts, since each tells all that it has counted.

    Args:
        workers: remembered apart, at least 1; the longest silent beyond them are added up as one.

    >>> board, told = ResultsBoard(), UserSums(users=3).told()
    >>> board.hear({"worker": "a", "variants": {"l:e/control": told}})
    >>> board.hear({"worker": "b", "variants": {"l:e/control": told}})
    >>> board.totals["l:e/control"].users
    6
    """

    def __init__(self, *, workers: int = 256) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self.most = workers
        self.plan = Plan()
        self.canary_share = 0.5
        self.refused = 0
        self._heard: OrderedDict[str, dict[str, UserSums]] = OrderedDict()
        self._gone: dict[str, UserSums] = {}
        self._tests: dict[str, AlwaysValid] = {}
        self._losses: dict[str, dict[str, tuple[float, float]]] = {}  # by worker and version

    def hear(self, told: Mapping[str, Any]) -> None:
        """One record of ``experiment-results``; one that is none is counted in ``refused``."""
        try:
            worker = str(told["worker"])
            sums = {str(name): UserSums.read(one) for name, one in told["variants"].items()}
            looks = {str(name): _looks(one) for name, one in told.get("tests", {}).items()}
            losses = {str(name): (float(a), float(b)) for name, (a, b) in told.get("losses", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            self.refused += 1
            return
        self._heard[worker], self._losses[worker] = sums, losses
        self._heard.move_to_end(worker)
        for variant, one in looks.items():
            if one[0] is not None:
                self._tests.setdefault(variant, AlwaysValid(one[0])).take(one)
        if len(self._heard) > self.most:
            gone, old = self._heard.popitem(last=False)
            self._losses.pop(gone, None)
            self._gone = _added([self._gone, old])

    @property
    def totals(self) -> dict[str, UserSums]:
        """By variant, as exposures carry it."""
        return _added([self._gone, *self._heard.values()])

    def look(self) -> None:
        """Look at all experiments once: p-values and intervals take it in."""
        totals = self.totals
        for design in self.designs(totals):
            control = totals.get(design.variant(design.control))
            for name in list(design.shares)[1:]:
                variant = design.variant(name)
                if control is not None and variant in totals:
                    self._look(variant, design.effect, control, totals[variant])

    def looks(self) -> dict[str, list[float | None]]:
        """All tests so far, by variant, as the next message is to carry them: a restart begins with them."""
        return {variant: test.told() for variant, test in self._tests.items() if test.p_value < 1.0}

    def losses(self) -> dict[str, float]:
        """The log-loss of each version of the model over the same slots, nats, of all workers together."""
        sums: dict[str, tuple[float, float]] = {}
        for told in self._losses.values():
            for version, (total, weight) in told.items():
                before = sums.get(version, (0.0, 0.0))
                sums[version] = (before[0] + total, before[1] + weight)
        return {version: total / weight for version, (total, weight) in sums.items() if weight}

    def report(self) -> list[dict[str, Any]]:
        """All experiments that anything is known of."""
        totals = self.totals
        return [
            report(
                design,
                {name: totals[v] for name in design.shares if (v := design.variant(name)) in totals},
                {
                    name: self._tests[v]
                    for name in design.shares
                    if (v := design.variant(name)) in self._tests
                },
            )
            for design in self.designs(totals)
        ]

    def designs(self, totals: Mapping[str, UserSums]) -> list[Design]:
        """What is declared, and what else was heard of: canaries, the global holdout, what was declared once."""
        made = {
            (layer, name): Design(
                layer=layer, name=name, shares=e.shares, effect=e.effect, learning=e.learning,
                guardrails=tuple((g.metric, g.worse_by) for g in e.guardrails),
            )
            for layer, name, e in self.plan.experiments()
        }  # fmt: skip
        heard: dict[tuple[str, str], list[str]] = {}
        for token in sorted(totals):
            layer, _, rest = token.partition(":")
            name, _, variant = rest.rpartition("/")
            heard.setdefault((layer, name), []).append(variant)
        for key, variants in heard.items():
            if key not in made:
                made[key] = self._undeclared(*key, variants)
        return [design for design in made.values() if len(design.shares) > 1]

    def _undeclared(self, layer: str, name: str, variants: list[str]) -> Design:
        if layer == "model":
            shares = {"live": 1.0 - self.canary_share, "canary": self.canary_share}
            return Design(layer=layer, name=name, shares=shares)
        if (layer, name) == ("holdout", "global"):
            held = self.plan.holdout
            return Design(layer=layer, name=name, shares={"held_out": held, "open": 1.0 - held})
        declared = layer == TIERS and name in self.plan.tiers
        return Design(layer=layer, name=name, shares=dict.fromkeys(variants, 0.0), declared=declared)

    def _look(self, variant: str, effect: float, control: UserSums, treatment: UserSums) -> None:
        a, b = control.ratio(CLICKS, IMPRESSIONS), treatment.ratio(CLICKS, IMPRESSIONS)
        told = difference(a, b)
        test = self._tests.get(variant)
        if test is None or test.tau != (effect or EFFECT):  # another effect is planned for: another test
            test = self._tests[variant] = AlwaysValid(effect or EFFECT)
        test.update(told.value, told.error**2, events=int(a.x + b.x))


def _looks(told: Any) -> list[float | None]:
    looks = [None if value is None else float(value) for value in told]
    if len(looks) != 4 or not (looks[0] is None or looks[0] > 0.0):
        raise ValueError(f"looks that are none: {told!r}")
    return looks


def _added(parts: list[dict[str, UserSums]]) -> dict[str, UserSums]:
    names = {name for part in parts for name in part}
    return {name: reduce(add, [part[name] for part in parts if name in part]) for name in sorted(names)}
