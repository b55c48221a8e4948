"""What the fold of a partition is told: declared actions, windows, caps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from online_models.counters import CLICK
from online_models.windows import Window

NOT_INTERESTED = "not_interested"


@dataclass(frozen=True, slots=True)
class FoldPolicy:
    """What the fold is told; times in ms.

    Attributes:
        window_ms: how long a click is waited for.
        windows: how long further actions are; those that labels are wanted of.
        pending_ttl_ms: how long a slate is kept whole for late actions; what a later window waits for is kept for so
            long after that window.
        pending_max: slates kept whole, and slates of which a part is, by user.
    """

    actions: Mapping[str, float] = field(default_factory=lambda: {"click": 1.0, NOT_INTERESTED: -1.0})
    window_ms: int = 60_000
    windows: Mapping[str, Window] = field(default_factory=dict)
    lateness_ms: int = 5_000
    pending_ttl_ms: int = 3_600_000
    pending_max: int = 20
    ring_size: int = 16
    ring_ttl_ms: int = 600_000
    seen_max: int = 2_000
    events_per_day: int = 500
    half_life_ms: int = 86_400_000
    fatigue_surfaces: frozenset[str] = frozenset()
    users_in_memory: int = 50_000

    def __post_init__(self) -> None:
        if self.window_ms > self.pending_ttl_ms:
            raise ValueError("pending_ttl_ms must be at least window_ms, or no window could close")
        for action, window in self.windows.items():
            self._check(action, window)
        if self.users_in_memory < 1:
            raise ValueError("users_in_memory must be at least 1")

    def _check(self, action: str, window: Window) -> None:
        if action == CLICK or action not in self.actions:
            raise ValueError(f"windows: {action} must be a declared action other than click")
        if not window.after_click and window.ms > self.pending_ttl_ms:
            raise ValueError(
                f"windows: {action} is waited for longer than pending_ttl_ms, so only after a click"
            )

    @property
    def longest_ms(self) -> int:
        """How long anything of a slate may be kept."""
        return max((w.ms for w in self.windows.values()), default=0) + self.pending_ttl_ms
