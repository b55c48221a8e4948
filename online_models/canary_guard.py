"""Whether a canary does harm, told as soon as the evidence suffices and however often it is asked."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.answer_times import bounds, quantile
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
        alpha: of a needless rollback, shared by the guardrails.
        effect: the fall of the click rate that is to be found soonest, in clicks an impression: a large one, since a
            canary is to be taken back soon. It costs smaller ones little.
        loss_effect: the same of the log-loss, in nats a slot; the allowed rise is ``loss_share`` of the live version's.
        empty_limit, failed_limit: empty slates, and such that failed in part, allowed beyond the live version's share.
        slow_share, slow_ms: how much slower than the live version's median and p95 the canary's may be: by that share
            of them and so many ms more.
        fewest_clicks, fewest_users: in both together, and in the canary, before anything is said of clicks.
    """

    alpha: float = 0.01
    effect: float = 0.05
    loss_effect: float = 0.1
    loss_share: float = 0.1
    empty_limit: float = 0.01
    failed_limit: float = 0.01
    slow_share: float = 0.5
    slow_ms: float = 2.0
    fewest_clicks: int = 100
    fewest_users: int = 20

    def judge(self, live: UserSums, canary: UserSums) -> Harm | None:
        """The first guardrail that was crossed; None while there is no such evidence."""
        return (
            self._share("share of empty slates", live, canary, live.empty, canary.empty, self.empty_limit)
            or self._share("share of failed answers", live, canary, live.failed, canary.failed, self.failed_limit)
            or self._slow("p95", 0.95, live, canary)
            or self._slow("median", 0.5, live, canary)
            or self._earned(live, canary)
        )  # fmt: skip

    def _earned(self, live: UserSums, canary: UserSums) -> Harm | None:
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

    def _share(
        self, metric: str, live: UserSums, canary: UserSums, a: int, b: int, limit: float
    ) -> Harm | None:
        if min(live.slates, canary.slates) < self.fewest_users:
            return None
        p, q = a / live.slates, b / canary.slates
        pooled = (a + b + 1) / (live.slates + canary.slates + 2)
        variance = pooled * (1.0 - pooled) * (1.0 / live.slates + 1.0 / canary.slates)
        wide = float(half_width(variance, 0.05, alpha=self._each))
        low = q - p - wide
        return Harm(metric, p, q, low, q - p + wide, limit, canary.users) if low > limit else None

    def _slow(self, name: str, p: float, live: UserSums, canary: UserSums) -> Harm | None:
        a, b = (bounds(sums.took, p, self._each / 4.0) for sums in (live, canary))
        limit = self.slow_share * a[1] + self.slow_ms
        if not b[0] > a[1] + limit:
            return None
        was, told = (quantile(sums.took, p) for sums in (live, canary))
        high = min(b[1], quantile(canary.took, 1.0)) - a[0]
        return Harm(f"{name} of answer times, ms", was, told, b[0] - a[1], high, limit, canary.users)

    @property
    def _each(self) -> float:
        """Of five guardrails: clicks, log-loss, empty, failed, slow."""
        return self.alpha / 5.0

    def _interval(self, a: Ratio, b: Ratio, effect: float) -> tuple[float, float]:
        gap = float(b.value) - float(a.value)
        wide = float(half_width(float(a.variance + b.variance), effect, alpha=self._each))
        return gap - wide, gap + wide

    def _harm(
        self, metric: str, a: Ratio, b: Ratio, low: float, high: float, limit: float, users: int
    ) -> Harm:
        return Harm(metric, float(a.value), float(b.value), low, high, limit, users)
