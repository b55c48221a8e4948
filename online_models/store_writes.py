"""Writes as data: which Redis commands a commit may hold, checked and laid out before anything is sent.

Redis does not roll a script back when a command in it fails. So what could fail is refused here (shape, range) or at
the head of the script (a key that holds another type), before the first write.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from online_models.errors import CommitInvalid
from online_models.kernels import commits

Arg = str | bytes | int | float
Write = tuple[Arg, ...]

MAX_ARGS = 4_000
"""Arguments of one command; Lua's stack ends near 8,000."""
MAX_INCREMENT = 1 << 31
"""Of integers: a 64-bit counter then takes four thousand million of the largest increments."""
MAX_FLOAT = 1e150
"""Of floats: sums of a great many stay finite."""

_PLAIN = frozenset({str, bytes, int, float})
_INTS = {"INCRBY": 2, "HINCRBY": 3}  # position of the increment
_FLOATS = {"HINCRBYFLOAT": 3, "ZINCRBY": 2, "INCRBYFLOAT": 2}
# command -> (type the key may hold, fixed arguments with the command, arguments that belong together)
_COMMANDS: dict[str, tuple[str, int, int]] = {
    "SET": ("string", 0, 0),
    "INCRBY": ("string", 0, 0),
    "INCRBYFLOAT": ("string", 0, 0),
    "HSET": ("hash", 2, 2),
    "HDEL": ("hash", 2, 1),
    "HINCRBY": ("hash", 0, 0),
    "HINCRBYFLOAT": ("hash", 0, 0),
    "ZADD": ("zset", 2, 2),
    "ZREM": ("zset", 2, 1),
    "ZINCRBY": ("zset", 0, 0),
    "ZREMRANGEBYSCORE": ("zset", 0, 0),
    "ZREMRANGEBYRANK": ("zset", 0, 0),
    "SADD": ("set", 2, 1),
    "SREM": ("set", 2, 1),
    "LPUSH": ("list", 2, 1),
    "RPUSH": ("list", 2, 1),
    "LTRIM": ("list", 0, 0),
    "DEL": ("", 1, 1),
    "UNLINK": ("", 1, 1),
    "PEXPIRE": ("", 0, 0),
    "EXPIRE": ("", 0, 0),
    "PEXPIREAT": ("", 0, 0),
    "PERSIST": ("", 0, 0),
}
_ARITY = {
    "INCRBY": (3, 3),
    "INCRBYFLOAT": (3, 3),
    "HINCRBY": (4, 4),
    "HINCRBYFLOAT": (4, 4),
    "ZINCRBY": (4, 4),
    "ZREMRANGEBYSCORE": (4, 4),
    "ZREMRANGEBYRANK": (4, 4),
    "LTRIM": (4, 4),
    "PEXPIRE": (3, 3),
    "EXPIRE": (3, 3),
    "PEXPIREAT": (3, 3),
    "PERSIST": (2, 2),
    "SET": (3, 5),
    "DEL": (2, 1 << 20),
    "UNLINK": (2, 1 << 20),
}


def lay_out(writes: Sequence[Write], prefix: str) -> tuple[list[Arg], list[int]]:
    """The script's arguments for these writes, and which write each checked key comes from.

    Sums (HINCRBY, HINCRBYFLOAT, ZINCRBY) of one key that are neighbours go as one: command, key, then pair after pair.

    Args:
        writes: commands as tuples, as in ``("HINCRBY", key, field, 1)``.
        prefix: what every key must begin with (one partition's keys live on one Redis node).

    Raises:
        CommitInvalid: a command, key or value that must not reach Redis; ``index`` says which write.

    >>> lay_out([("HINCRBY", "shop:{0}:item:7", "clicks", 2)], "shop:{0}:")[0]
    [1, 'shop:{0}:item:7', 'hash', 4, 'HINCRBY', 'shop:{0}:item:7', 'clicks', 2]
    >>> lay_out([("HINCRBY", "p:h", "a", 2), ("HINCRBY", "p:h", "b", 3), ("SET", "p:s", "x")], "p:")[0]
    [1, 'p:h', 'hash', 6, 'HINCRBY', 'p:h', 'a', 2, 'b', 3, 3, 'SET', 'p:s', 'x']
    """
    return commits.lay_out(writes, prefix, MAX_ARGS, _checked, _begins, _refused, _split)


def _begins(key: Arg, prefix: str) -> bool:
    return isinstance(key, bytes) and key.startswith(prefix.encode())


def _refused(why: str, index: int) -> None:
    raise CommitInvalid(why, index)


def _checked(write: Write, index: int) -> str:
    """The type its key may hold ("" = any); CommitInvalid when the write may not be sent."""
    name = write[0] if write else ""
    if not isinstance(name, str) or name not in _COMMANDS:
        raise CommitInvalid(f"write {index}: {name!r} is none of {', '.join(sorted(_COMMANDS))}", index)
    kind, fixed, step = _COMMANDS[name]
    least, most = _ARITY.get(name, (fixed + step, 1 << 20))
    if not least <= len(write) <= most or (step and (len(write) - fixed) % step):
        raise CommitInvalid(f"write {index}: {name} with {len(write) - 1} arguments", index)
    if name in _INTS:
        _in_range(write[_INTS[name]], index)
    elif name in _FLOATS:
        _finite(write[_FLOATS[name]], index)
    elif name == "ZADD":
        for score in write[2::2]:
            _finite(score, index)
    elif name in {"SET", "PEXPIRE", "EXPIRE", "PEXPIREAT"}:
        _expiry(write, index)
    if not _PLAIN.issuperset(map(type, write)):
        _plain(write, index)
    return kind


def _plain(write: Write, index: int) -> None:
    for arg in write:
        if not isinstance(arg, str | bytes | int | float) or isinstance(arg, bool):
            raise CommitInvalid(f"write {index}: {write[0]!r} with a {type(arg).__name__}", index)


def _in_range(value: Arg, index: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_INCREMENT:
        raise CommitInvalid(
            f"write {index}: increment {value!r}, an integer of at most {MAX_INCREMENT}", index
        )


def _finite(value: Arg, index: int) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > MAX_FLOAT:
        raise CommitInvalid(f"write {index}: {value!r}, a finite number of at most {MAX_FLOAT:g}", index)


def _expiry(write: Write, index: int) -> None:
    if write[0] != "SET":
        number: Arg = write[2]
    elif len(write) == 3:
        return
    elif len(write) == 5 and write[3] in {"PX", "EX", "PXAT", "EXAT"}:
        number = write[4]
    else:
        raise CommitInvalid(f"write {index}: SET key value [PX|EX|PXAT|EXAT n]", index)
    if not isinstance(number, int) or not 0 < number < 1 << 53:
        raise CommitInvalid(f"write {index}: expiry {number!r}, an integer above 0", index)


def _split(write: Write, index: int, body: list[Arg]) -> None:
    """A long command as several of the same effect."""
    _, fixed, step = _COMMANDS[str(write[0])]
    if not step:
        raise CommitInvalid(f"write {index}: {write[0]!r} with {len(write)} arguments", index)
    size = (MAX_ARGS - fixed) // step * step
    for at in range(fixed, len(write), size):
        part = write[at : at + size]
        body.append(fixed + len(part))
        body.extend(write[:fixed])
        body.extend(part)


def chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    """``items`` in pieces of at most ``size``."""
    return (items[at : at + size] for at in range(0, len(items), size))
