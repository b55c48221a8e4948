"""Names of items and the dense integers that stand for them inside."""

from __future__ import annotations

from collections.abc import Iterable


class Interner:
    """A two-way table of item ids and integers; the integers are given by the store, once for a namespace.

    Reading never inserts. A number may be known before all below it are: its neighbours' names are then empty.

    >>> names = Interner()
    >>> names.add([("m1", 0), ("m2", 1)])
    >>> names.get("m2"), names.get("m9"), names.name(0), len(names)
    (1, None, 'm1', 2)
    >>> names.known(["m2", "m9"])
    {'m2': 1}
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        """One more than the highest number known."""
        return len(self._names)

    def add(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Take over names with their numbers.

        Raises:
            ValueError: a number is negative, or stands for another name already.
        """
        for name, number in pairs:
            if number < 0:
                raise ValueError(f"number of {name!r} must be at least 0, not {number}")
            self._names.extend([""] * (number + 1 - len(self._names)))
            if self._names[number] not in ("", name):
                raise ValueError(f"{number} stands for {self._names[number]!r}, not {name!r}")
            self._names[number] = name
            self._numbers[name] = number

    def get(self, name: str) -> int | None:
        """The number of a name, if it has one."""
        return self._numbers.get(name)

    def known(self, names: Iterable[str]) -> dict[str, int]:
        """The numbers of those names that have one."""
        numbers = self._numbers
        return {name: numbers[name] for name in names if name in numbers}

    def named(self, numbers: Iterable[int]) -> list[str]:
        """The names of some numbers; empty where one is not known."""
        names = self._names
        known = range(len(names))
        return [names[number] if number in known else "" for number in numbers]

    def names(self) -> list[str]:
        """All names, the place being the number; empty where one is not known."""
        return list(self._names)

    def name(self, number: int) -> str:
        """The name of a number; empty when it is not known."""
        return self._names[number] if 0 <= number < len(self._names) else ""
