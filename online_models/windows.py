"""How long each action is waited for, and what of a slate is open, acted on and closed for it.

A click has a window of a minute, a purchase one of days: a slot without the action is a negative of that action when
its own window closes, and not before. A window opens with the impression or, for what follows from a click, with the
click; then its labels say how likely the action is *given the click*.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """How long an action is waited for, ms, and whether from the click on its slot or from the impression.

    Raises:
        ValueError: ``ms`` is below 1.
    """

    ms: int
    after_click: bool = False

    def __post_init__(self) -> None:
        if self.ms < 1:
            raise ValueError(f"ms must be at least 1, not {self.ms}")


@dataclass(slots=True)
class Marks:
    """Of one action and one slate: bit masks over slots, and when its window closes.

    >>> marks = Marks()
    >>> marks.open(0, 61_000), marks.open(2, 62_000), marks.act(2)
    (None, None, False)
    >>> marks.close(), marks.close(), marks.act(0)
    ([0], [], True)
    """

    due: int = 0  # when the window closes, ms; 0 while none is open
    until: int = 0  # when the last one that was open was to close, ms
    opened: int = 0
    acted: int = 0
    closed: int = 0

    def open(self, at: int, due: int) -> None:
        """The window of a slot is open; that of a slate closes with its last."""
        bit = 1 << at
        self.opened |= bit
        if not self.closed & bit and due > self.due:
            self.due = self.until = due

    def is_open(self, at: int) -> bool:
        """Whether the window of a slot was ever opened."""
        return bool(self.opened >> at & 1)

    def act(self, at: int) -> bool | None:
        """The slot was acted on: whether that comes after its negative; None when it was acted on before."""
        bit = 1 << at
        if self.acted & bit:
            return None
        late = bool(self.closed & bit)
        self.opened, self.acted, self.closed = self.opened | bit, self.acted | bit, self.closed | bit
        return late

    def close(self) -> list[int]:
        """The window is over: the slots that were open and not acted on, in order."""
        left = self.opened & ~self.closed
        self.closed |= left
        self.due = 0
        return bits(left)

    def take(self, slots: list[int]) -> None:
        """Only these slots are left, in this order."""
        self.opened, self.acted, self.closed = (
            sum((mask >> at & 1) << k for k, at in enumerate(slots))
            for mask in (self.opened, self.acted, self.closed)
        )


def bits(mask: int) -> list[int]:
    """The places of the bits that are set.

    >>> bits(0b1010)
    [1, 3]
    """
    return [at for at in range(mask.bit_length()) if mask >> at & 1]
