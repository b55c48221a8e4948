from collections.abc import Collection

def u24(values: Collection[int]) -> bytes:
    """The lower 24 bits of some whole numbers from 0 to ``2**32 - 1``, little-endian, one after the other.

    Raises:
        OverflowError: a number is none of those.
    """

def from_u24(raw: bytes, begin: int, n: int) -> list[int]:
    """The ``n`` numbers that :func:`u24` wrote at ``begin``.

    Raises:
        ValueError: ``raw`` ends before.
    """

def pack(
    head: bytes,
    counts: dict[str, int],
    windows: dict[int, tuple[float, float]],
    texts: bytes,
    shown: list[int],
    tail: bytes,
) -> bytes:
    """A record: head, counts (length and name, 32 bits), windows (64 bits, two doubles), texts, shown (24 bits), tail.

    Raises:
        ValueError: the name of a count takes more than 255 bytes.
    """
