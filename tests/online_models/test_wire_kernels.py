"""What is compiled of the commit's bytes against the plain Python it stands for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from online_models import store_writes
from online_models.errors import CommitInvalid
from online_models.history import UserRecord, decode, encode
from online_models.kernels import records
from online_models.store_writes import Write, lay_out

Items = st.lists(st.integers(0, 0xFFFFFF), max_size=40)


def plain_u24(values: list[int]) -> bytes:
    return b"".join((value & 0xFFFFFF).to_bytes(3, "little") for value in values)


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=60), st.binary(max_size=9))
def test_numbers_of_24_bits_are_the_lower_three_bytes_of_each(values: list[int], before: bytes) -> None:
    assert records.u24(values) == plain_u24(values)
    assert records.u24(dict.fromkeys(values)) == plain_u24(list(dict.fromkeys(values)))
    held = before + plain_u24(values) + b"?"
    assert records.from_u24(held, len(before), len(values)) == [value & 0xFFFFFF for value in values]


def test_numbers_that_do_not_fit_or_are_not_there_are_refused() -> None:
    for wrong in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            records.u24([wrong])
    with pytest.raises(ValueError, match="header"):
        records.from_u24(b"12345", 0, 2)
    with pytest.raises(ValueError, match="too long"):
        records.pack(b"", {"ü" * 128: 1}, {}, b"", [], b"")


@given(
    st.dictionaries(st.text(max_size=20), st.integers(0, 1 << 40), max_size=4),
    st.dictionaries(st.integers(0, 1 << 45), st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=2),
    Items, Items, Items, st.text(max_size=10), st.integers(0, 3), st.booleans(),
)  # fmt: skip
def test_a_record_is_the_bytes_that_struct_makes(
    counts: dict[str, int], windows: dict[int, tuple[float, float]], shown: list[int], older: list[int],
    passed: list[int], group: str, doubt: int, vetoed: bool,
) -> None:  # fmt: skip
    record = UserRecord(
        counts=counts, windows=windows, shown=shown, older=dict.fromkeys(older), group=group, doubt=doubt,
        passed=dict.fromkeys(passed), vetoes={"tag:war"} if vetoed else set(), day=20_000, day_events=7,
    )  # fmt: skip
    record.act(9, 61_000)
    record.act(5, 3_000)
    vetoes = b'["tag:war"]' if vetoed else b""
    version = (2 * bool(record.passed) + 4 * bool(doubt)) or 1
    named = group.encode()
    want = struct.pack(
        "<BBHqIHHBBBB", version, 2, len(record.older), 61_000, len(vetoes), 20_000, 7, len(counts), len(windows),
        len(named), len(record.shown),
    )  # fmt: skip
    for name, n in counts.items():
        want += bytes((len(name.encode()),)) + name.encode() + struct.pack("<I", min(n, 0xFFFFFFFF))
    for mark, (seen, acted) in windows.items():
        want += struct.pack("<qdd", mark, seen, acted)
    want += vetoes + named + plain_u24([5, 9]) + plain_u24([0, 58]) + plain_u24(list(record.older))
    want += plain_u24(record.shown)
    if record.passed:
        want += struct.pack("<H", len(record.passed)) + plain_u24(list(record.passed))
    if doubt:
        want += struct.pack("<HII", doubt, 0, 0)
    assert encode(record) == want
    record.counts = {name: min(n, 0xFFFFFFFF) for name, n in counts.items()}
    assert decode(want) == record


def plain_lay_out(writes: list[Write], prefix: str) -> tuple[list[Any], list[int]]:
    types: dict[Any, str] = {}
    asked: list[tuple[Any, str, int]] = []
    body: list[list[Any]] = []
    for index, write in enumerate(writes):
        kind = store_writes._checked(write, index)
        key = write[1]
        raw = key if isinstance(key, bytes) else str(key).encode()
        if not isinstance(key, str | bytes) or not raw.startswith(prefix.encode()):
            raise CommitInvalid(f"write {index}: key {key!r} does not begin with {prefix!r}", index)
        if kind and types.setdefault(key, kind) != kind:
            raise CommitInvalid(f"write {index}: {key!r} is written as two types", index)
        if kind and write[0] != "SET" and all(key != other for other, _, _ in asked):
            first = next(w for w in writes if w[1] == key and store_writes._checked(w, index))
            if first[0] != "SET":
                asked.append((key, kind, index))
        sums = write[0] in ("HINCRBY", "HINCRBYFLOAT", "ZINCRBY")
        if sums and body and tuple(body[-1][1:3]) == write[:2]:
            body[-1][0] += 2
            body[-1] += write[2:]
        else:
            body.append([len(write), *write])
    head = [len(asked), *(part for key, kind, _ in asked for part in (key, kind))]
    return head + [arg for write in body for arg in write], [index for _, _, index in asked]


def outcome(way: Callable[[list[Write], str], object], writes: list[Write]) -> object:
    try:
        return way(writes, "p:")
    except CommitInvalid as error:
        return str(error), error.index


Keys = st.sampled_from(["p:a", "p:b", "q:a", b"p:a", b"q:c", "p:", 3])
Values = st.sampled_from([
    "x", b"y", 0, 1, -1, 1 << 31, (1 << 31) + 1, -(1 << 31) - 1, 1 << 53, (1 << 53) - 1, 1 << 70, 0.5, -1e150, 2e150,
    float("inf"), float("nan"), True, None, "PX", "EX",
])  # fmt: skip
Names = st.sampled_from([
    "SET", "HINCRBY", "HINCRBYFLOAT", "ZINCRBY", "PEXPIRE", "HSET", "ZADD", "ZREM", "DEL", "HDEL", "INCRBY", "GET",
    b"SET", 1,
])  # fmt: skip
Writes = st.lists(
    st.builds(lambda n, k, rest: (n, k, *rest), Names, Keys, st.lists(Values, max_size=4)), max_size=6
)


@given(Writes)
@example([("HINCRBY", "p:a", "x", 1), ("HINCRBY", "p:a", "x", 2), ("HINCRBYFLOAT", "p:a", 1, 0.5)])
@example(
    [
        ("SET", "p:a", b"y", "PX", 1),
        ("HSET", "p:b", "x", 0),
        ("PEXPIRE", "p:b", 1),
        ("ZINCRBY", "p:c", 0.5, 1),
    ]
)
@example([(), ("SET",)])
def test_writes_are_laid_out_and_refused_as_by_plain_python(writes: list[Write]) -> None:
    assert repr(outcome(lay_out, writes)) == repr(outcome(plain_lay_out, writes))
