"""Good events broken in every way a producer has been seen to break them; seeded, so a failure can be had again."""

from __future__ import annotations

import random

import orjson

GOOD = (
    {"v": 1, "type": "click", "event_id": "e", "user_id": "u", "ts": 1_700_000_000_000, "item_id": "i"},
    {
        "v": 1, "type": "impression", "event_id": "e", "user_id": "u", "ts": 1_700_000_000_000,
        "request_id": "r", "items": [{"item_id": "i", "position": 0}, {"item_id": "j", "position": 1}],
    },
    {
        "v": 1, "type": "action", "event_id": "e", "user_id": "u", "ts": 1_700_000_000_000,
        "item_id": "i", "action": "purchase", "value": 3.5, "context": {"page": "home"},
    },
    {"v": 1, "type": "profile", "event_id": "e", "user_id": "u", "ts": 1_700_000_000_000, "attributes": {"a": 1}},
    {"v": 1, "type": "identify", "event_id": "e", "user_id": "u", "ts": 1_700_000_000_000, "anonymous_id": "s"},
)  # fmt: skip
ODD = (
    None, True, -1, 0, 2**40, 2**70, 1e308, "", "x" * 300, "\x00", [], [[]], {}, {"a": {}}, "1", 1.5, "ü",
    "💥" * 70, [None],
)  # fmt: skip


def mutated(seed: int, n: int) -> list[bytes]:
    """``n`` records: broken JSON, wrong types, missing and doubled fields, other encodings, huge and future values."""
    rng = random.Random(seed)
    return [_mutations[rng.randrange(len(_mutations))](rng) for _ in range(n)]


def good(rng: random.Random) -> dict[str, object]:
    """A valid event of any kind, with ids of its own."""
    event = orjson.loads(orjson.dumps(rng.choice(GOOD)))
    event["event_id"] = f"m{rng.getrandbits(48):x}"
    event["user_id"] = f"u{rng.randrange(50)}"
    return event


def _truncate(rng: random.Random) -> bytes:
    raw = orjson.dumps(good(rng))
    return raw[: rng.randrange(len(raw))]


def _flip(rng: random.Random) -> bytes:
    raw = bytearray(orjson.dumps(good(rng)))
    for _ in range(rng.randrange(1, 4)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def _wrong_type(rng: random.Random) -> bytes:
    event = good(rng)
    event[rng.choice(sorted(event))] = rng.choice(ODD)
    return orjson.dumps(event) if _fits(event) else str(event).encode()


def _missing(rng: random.Random) -> bytes:
    event = good(rng)
    del event[rng.choice(sorted(event))]
    return orjson.dumps(event)


def _extra(rng: random.Random) -> bytes:
    event = good(rng)
    event[rng.choice(["extra", "Type", "", "item_ids"])] = {"deep": [1, {"er": None}]}
    return orjson.dumps(event)


def _nan(rng: random.Random) -> bytes:
    raw = orjson.dumps(good(rng))
    return raw.replace(b"1700000000000", rng.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"0x10"]))


def _future(rng: random.Random) -> bytes:
    event = good(rng)
    event["ts"] = rng.choice([1_700_000_000_000 * 1_000, 4_000_000_000_000, 1_700_009_999_999])
    return orjson.dumps(event)


def _encoding(rng: random.Random) -> bytes:
    text = orjson.dumps(good(rng)).decode()
    return text.encode(rng.choice(["utf-16", "utf-32", "cp037", "utf-8-sig"]))


def _huge(rng: random.Random) -> bytes:
    event = good(rng)
    event["context"] = (
        {"blob": "x" * rng.choice([1_000, 1_100_000])} if rng.random() < 0.1 else {"k": list(range(999))}
    )
    return orjson.dumps(event)


def _nested(rng: random.Random) -> bytes:
    depth = rng.choice([10, 500, 2_000])
    return orjson.dumps(good(rng))[:-1] + b',"context":{"a":' + b"[" * depth + b"]" * depth + b"}}"


def _not_an_event(rng: random.Random) -> bytes:
    return rng.choice([b"", b"null", b"[]", b"7", b'"click"', b"{}", b"\xff\xfe", b"{" * 3_000, b"\x00" * 64])


def _untouched(rng: random.Random) -> bytes:
    return orjson.dumps(good(rng))


def _fits(event: dict[str, object]) -> bool:
    try:
        orjson.dumps(event)
    except TypeError:
        return False
    return True


_mutations = (
    _truncate, _flip, _wrong_type, _missing, _extra, _nan, _future, _encoding, _huge, _nested,
    _not_an_event, _untouched,
)  # fmt: skip
