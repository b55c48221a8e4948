"""What surfaces are ordered for, changed while they serve: checked against the settings, kept in the registry's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from online_models.errors import FreshetError
from online_models.objective_weights import CLICK, Weights
from online_models.registry import Change, Registry
from streams.registry_log import RegistryLog, change
from streams.settings import Settings


class WeightsRefused(FreshetError):
    """Weights do not hold, or name a surface or an action that is not there; the text says what would do."""


class Weighing:
    """Weights by surface, as they stand and as they are changed.

    Args:
        log: caught up by whoever runs it; after a change it holds that, too.
    """

    def __init__(self, settings: Settings, log: RegistryLog) -> None:
        self._settings, self._log = settings, log

    def told(self) -> dict[str, Any]:
        """By surface the weights in force and who set them; and the actions that have a head."""
        return {
            "surfaces": {name: self._surface(name) for name in self._settings.surfaces},
            "actions": [CLICK, *self._settings.objective_actions()],
        }

    async def weigh(
        self, surface: str, weights: Mapping[str, Any] | None, ts: int, *, who: str = "", reason: str = ""
    ) -> dict[str, Any]:
        """Order a surface for other weights from now on, in all processes within a second or two.

        Args:
            weights: by action; None goes back to those of the settings.
            ts: of this moment, ms.

        Raises:
            WeightsRefused: they do not hold.
        """
        if surface not in self._settings.surfaces:
            known = ", ".join(self._settings.surfaces)
            raise WeightsRefused(f"surface: there is no {surface!r}; there are {known}")
        plain = {} if weights is None else self._checked(weights).plain()
        details = {"surface": surface, "weights": plain, "before": self._surface(surface)["weights"]}
        made: Change = change("weigh", ts, who=who, reason=reason, details=details)
        if refused := await self._log.add(made):
            raise WeightsRefused(refused)
        return self._surface(surface)

    def _checked(self, weights: Mapping[str, Any]) -> Weights:
        try:
            return Weights.parse(weights, {CLICK, *self._settings.objective_actions()})
        except ValueError as error:
            raise WeightsRefused(f"weights: {error}") from error

    def _surface(self, name: str) -> dict[str, Any]:
        registry = self._log.registry
        live = registry.weights.get(name)
        weights = live or Weights.parse(self._settings.surfaces[name].objectives, self._settings.actions)
        last = _last(registry, name) if live is not None else None
        return {
            "weights": weights.plain(),
            "version": weights.version,
            "who": last.who if last is not None else "settings",
            "ts": last.ts if last is not None else None,
            "reason": last.reason if last is not None else "",
        }


def _last(registry: Registry, surface: str) -> Change | None:
    """The newest change of a surface's weights that had an effect."""
    changes = (e.change for e in reversed(registry.audit) if e.change.what == "weigh" and not e.refused)
    return next((one for one in changes if one.details.get("surface") == surface), None)
