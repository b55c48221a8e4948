"""Pending requests as bytes for Redis: the slate once, and what changes of it afterwards.

Three fields of one hash hold a slate: itself, the marks of its clicks, and those of the further actions that are
waited for, where there are any.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, field

import numpy as np
import orjson

from online_models.errors import FreshetError
from online_models.labels import Pending
from online_models.windows import Marks

_HEAD = struct.Struct("<BBqqHHBBBH")
_MARKS = struct.Struct("<qQQQ")
_VERSION = 2
_READ = (1, 2)  # 1 knew neither swaps nor variants: what it left 0 reads as none
_TRIMMED = 0x80


class PendingCorrupt(FreshetError):
    """A stored pending request cannot be read."""


def encode(p: Pending) -> bytes:
    """The request as bytes; float16 features, little-endian, versioned; without the marks of further actions.

    One byte holds whether it is randomised (its lowest bit) or trimmed (its highest) and the swapped slot plus 1.
    """
    surface, schema, rid = p.surface.encode(), p.schema.encode(), p.request_id.encode()
    variant = p.variant.encode()
    how = int(p.randomised) | (0 if p.swapped is None else (p.swapped + 1) << 1) | _TRIMMED * p.trimmed
    width = p.features.shape[1] if p.features.ndim == 2 else 0
    head = _HEAD.pack(
        _VERSION, len(p.items), p.ts, p.click.due, len(rid), width, len(surface), len(schema), how,
        len(variant),
    )  # fmt: skip
    masks = struct.pack("<QQQ", p.click.opened, p.click.acted, p.click.closed)
    numbers = (
        np.array(p.items, dtype="<u4").tobytes()
        + np.array(p.positions, dtype="<u2").tobytes()
        + np.array(p.probabilities, dtype="<f4").tobytes()
        + np.array(p.propensities, dtype="<f4").tobytes()
    )
    texts = (rid, surface, schema, variant)
    return b"".join((head, masks, *texts, numbers, p.features.astype("<f2").tobytes()))


def encode_marks(p: Pending) -> bytes:
    """What changes of a request once it is stored: when its window closes, and what was seen, acted on and closed."""
    return _MARKS.pack(p.click.due, p.click.opened, p.click.acted, p.click.closed)


def encode_others(p: Pending) -> bytes:
    """The marks of further actions, as JSON by action."""
    return orjson.dumps({action: astuple(marks) for action, marks in p.others.items()})


def decode(raw: bytes, marks: bytes | None = None, others: bytes | None = None) -> Pending:
    """The request :func:`encode` wrote, with newer ``marks`` (:func:`encode_marks`) and those of ``others``.

    Raises:
        PendingCorrupt: the version is unknown or a length does not fit.
    """
    try:
        pending = _Reader(raw).pending()
        if marks is not None:
            due, opened, acted, closed = _MARKS.unpack(marks)
            pending.click = Marks(due, 0, opened, acted, closed)
        if others is not None:
            pending.others = {action: Marks(*row) for action, row in orjson.loads(others).items()}
        return pending
    except (struct.error, ValueError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise PendingCorrupt(f"pending request of {len(raw)} bytes cannot be read: {error}") from error


@dataclass(slots=True)
class _Reader:
    raw: bytes
    at: int = field(default=0)

    def take(self, n: int) -> bytes:
        piece = self.raw[self.at : self.at + n]
        if len(piece) != n:
            raise ValueError("its length does not fit its header")
        self.at += n
        return piece

    def pending(self) -> Pending:
        version, n, ts, due, rid, width, surface, schema, how, variant = _HEAD.unpack(self.take(_HEAD.size))
        if version not in _READ:
            raise ValueError(f"version {version}, this build reads {' and '.join(map(str, _READ))}")
        opened, acted, closed = struct.unpack("<QQQ", self.take(24))
        request_id, surface, schema, variant = (
            self.take(k).decode() for k in (rid, surface, schema, variant)
        )
        swapped = how >> 1 & 0x3F
        return Pending(
            request_id=request_id,
            ts=ts,
            surface=surface,
            schema=schema,
            items=np.frombuffer(self.take(4 * n), "<u4").tolist(),
            positions=np.frombuffer(self.take(2 * n), "<u2").tolist(),
            probabilities=np.frombuffer(self.take(4 * n), "<f4").tolist(),
            propensities=np.frombuffer(self.take(4 * n), "<f4").tolist(),
            features=np.frombuffer(self.take(2 * n * width), "<f2").reshape(n, width).copy(),
            randomised=bool(how & 1),
            swapped=swapped - 1 if swapped else None,
            variant=variant,
            trimmed=bool(how & _TRIMMED),
            click=Marks(due, 0, opened, acted, closed),
        )
