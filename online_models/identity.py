"""Stable hashes of ids: the same on every machine, in every process, in every version of Python."""

from __future__ import annotations

from hashlib import blake2b


def hash64(text: str) -> int:
    """A 63-bit hash of an id, so that it fits a signed 64-bit integer.

    >>> hash64("alice") == hash64("alice"), hash64("alice") == hash64("bob")
    (True, False)
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def digest8(text: str) -> bytes:
    """Eight bytes that stand for an id in a ring of ids already seen."""
    return blake2b(text.encode(), digest_size=8).digest()
