"""Whether a canary does harm, told as soon as the evidence suffices and however often it is asked."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.experiment_stats import Ratio
from online_models.sequential import half_width
from online_models.user_sums import CLICKS, IMPRESSIONS, LOSS, PREDICTED, UserSums


@dataclass(frozen=True, slots=True)
class Harm:
    """A guardrail that was crossed: how far the canary is from the live version, and the interval that says so."""

    metric: str
    live: float
    canary: float
    low: float
    high: float
    limit: float
    users: int

    @property
    def reason(self) -> str:
        """For people."""
        return (
            f"{self.metric} is {self.canary:.4f} with the canary and {self.live:.4f} without: the difference lies "
            f"between {self.low:+.4f} and {self.high:+.4f}, allowed is {self.limit:+.4f}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Guardrails of a canary, each an interval that is valid at all times (:mod:`online_models.sequential`).

    Args:
        alpha: of a needless rollback, shared by the three guardrails.
        effect: the fall of the click rate that is to be found soonest, in clicks an impression: a large one, since a
            canary is to be taken back soon. It costs smaller ones little.
        loss_effect: the same of the log-loss, in nats a slot; the allowed rise is ``loss_share`` of the live version's.
        empty_limit: empty slates allowed beyond the live version's share.
        fewest_clicks, fewest_users: in both together, and in the canary, before anything is said.
    """

    alpha: float = 0.01
    effect: float = 0.05
    loss_effect: float = 0.1
    loss_share: float = 0.1
    empty_limit: float = 0.01
    fewest_clicks: int = 100
    fewest_users: int = 20

    def judge(self, live: UserSums, canary: UserSums) -> Harm | None:
        """The first guardrail that was crossed; None while there is no such evidence."""
        if harm := self._empty(live, canary):
            return harm
        if canary.users < self.fewest_users or live.users < self.fewest_users:
            return None
        if live.sums[CLICKS] + canary.sums[CLICKS] < self.fewest_clicks:
            return None
        return self._clicks(live, canary) or self._loss(live, canary)

    def _clicks(self, live: UserSums, canary: UserSums) -> Harm | None:
        a, b = live.ratio(CLICKS, IMPRESSIONS), canary.ratio(CLICKS, IMPRESSIONS)
        low, high = self._interval(a, b, self.effect)
        return self._harm("click rate", a, b, low, high, 0.0, canary.users) if high < 0.0 else None

    def _loss(self, live: UserSums, canary: UserSums) -> Harm | None:
        if not (live.sums[PREDICTED] and canary.sums[PREDICTED]):
            return None
        a, b = live.ratio(LOSS, PREDICTED), canary.ratio(LOSS, PREDICTED)
        low, high = self._interval(a, b, self.loss_effect)
        limit = self.loss_share * float(a.value)
        return self._harm("log-loss", a, b, low, high, limit, canary.users) if low > limit else None

    def _empty(self, live: UserSums, canary: UserSums) -> Harm | None:
        if min(live.slates, canary.slates) < self.fewest_users:
            return None
        p, q = live.empty / live.slates, canary.empty / canary.slates
        pooled = (live.empty + canary.empty + 1) / (live.slates + canary.slates + 2)
        variance = pooled * (1.0 - pooled) * (1.0 / live.slates + 1.0 / canary.slates)
        wide = float(half_width(variance, 0.05, alpha=self.alpha / 3.0))
        low = q - p - wide
        if low <= self.empty_limit:
            return None
        return Harm("share of empty slates", p, q, low, q - p + wide, self.empty_limit, canary.users)

    def _interval(self, a: Ratio, b: Ratio, effect: float) -> tuple[float, float]:
        gap = float(b.value) - float(a.value)
        wide = float(half_width(float(a.variance + b.variance), effect, alpha=self.alpha / 3.0))
        return gap - wide, gap + wide

    def _harm(
        self, metric: str, a: Ratio, b: Ratio, low: float, high: float, limit: float, users: int
    ) -> Harm:
        return Harm(metric, float(a.value), float(b.value), low, high, limit, users)
