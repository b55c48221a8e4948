"""Learnt state, saved: plain arrays in one versioned directory, checksummed, written whole or not at all.

A snapshot is a directory ``<version>/`` holding one ``.npz`` a component and ``manifest.json``: the format, when it
was taken, which positions of the log it covers, the feature schema, and the sha256 of each file. It is written beside
its place and renamed into it, so a reader never meets half of one. Nothing is ever unpickled.
:mod:`online_models.snapshot_bucket` keeps the same in object storage.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from online_models.base import Arrays
from online_models.errors import SnapshotCorrupt

FORMAT = 1
MANIFEST = "manifest.json"
_TMP = ".partial-"
_ABANDONED_MS = 3_600_000
"""A half-written snapshot of that age belongs to a process that died."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot says of itself."""

    version: str
    created: int  # ms
    positions: Mapping[str, int]  # "topic-partition" -> next position not covered
    schema: str
    notes: Mapping[str, Any]
    files: Mapping[str, str]  # file -> sha256


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot read back: its manifest and the arrays of each component."""

    manifest: Manifest
    components: Mapping[str, Arrays]


class Snapshots(ABC):
    """Snapshots of one namespace in one place, the newest ``keep`` of them."""

    def __init__(self, *, keep: int = 5) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.keep = keep

    @abstractmethod
    def save(
        self,
        components: Mapping[str, Arrays],
        *,
        created: int,
        positions: Mapping[str, int],
        schema: str,
        notes: Mapping[str, Any] | None = None,
    ) -> str:
        """Write a snapshot and drop those beyond ``keep``; returns its version.

        Raises:
            OSError: the place is full or refuses; nothing of the attempt passes for a snapshot.
        """

    @abstractmethod
    def versions(self) -> list[str]:
        """All versions, oldest first; half-written ones are not among them."""

    @abstractmethod
    def manifest(self, version: str) -> Manifest:
        """What a snapshot says of itself.

        Raises:
            SnapshotCorrupt: it cannot be read or is of another format.
        """

    @abstractmethod
    def load(self, version: str) -> Snapshot:
        """A snapshot, whole and checked.

        Raises:
            SnapshotCorrupt: a file is missing, altered, or holds anything but plain arrays.
        """

    @abstractmethod
    def size(self, version: str) -> int:
        """How much a snapshot takes, bytes."""

    def latest(self, lineage: int | None = None) -> Snapshot | None:
        """The newest snapshot that holds; a corrupt one is skipped for the one before. None where there is none.

        Args:
            lineage: look only at snapshots of this lineage, and at those that were restored by hand.
        """
        for version in reversed(self.versions()):
            try:
                if lineage is None or _is_of(self.manifest(version), lineage):
                    return self.load(version)
            except SnapshotCorrupt:
                continue
        return None

    def restore(self, version: str, created: int) -> str:
        """Make an older snapshot the newest again, as a new version; returns it."""
        old = self.load(version)
        notes = {**old.manifest.notes, "restored_from": version}
        return self.save(
            old.components,
            created=created,
            positions=old.manifest.positions,
            schema=old.manifest.schema,
            notes=notes,
        )


def _is_of(manifest: Manifest, lineage: int) -> bool:
    return "restored_from" in manifest.notes or int(manifest.notes.get("lineage", 0)) == lineage


class SnapshotStore(Snapshots):
    """Snapshots of one namespace under a local directory, the newest ``keep`` of them.

    >>> import tempfile
    >>> store = SnapshotStore(Path(tempfile.mkdtemp()), keep=2)
    >>> version = store.save({"model": {"w": np.arange(3.0)}}, created=1_000, positions={"deltas-0": 7}, schema="s")
    >>> store.latest().components["model"]["w"].tolist()
    [0.0, 1.0, 2.0]
    """

    def __init__(self, root: Path, *, keep: int = 5) -> None:
        super().__init__(keep=keep)
        self.root = root

    def save(
        self,
        components: Mapping[str, Arrays],
        *,
        created: int,
        positions: Mapping[str, int],
        schema: str,
        notes: Mapping[str, Any] | None = None,
    ) -> str:
        """See :class:`Snapshots`; nothing of an attempt that fails stays."""
        partial = self.root / f"{_TMP}{created}-{uuid.uuid4().hex[:8]}"
        partial.mkdir(parents=True)
        try:
            files = {
                f"{name}.npz": _write_arrays(partial / f"{name}.npz", components[name]) for name in components
            }
            version = next_version(created, self.versions())
            manifest = {
                "format": FORMAT, "version": version, "created": created, "positions": dict(positions),
                "schema": schema, "notes": dict(notes or {}), "files": files,
            }  # fmt: skip
            _write(partial / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
            partial.rename(self.root / version)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _sync_directory(self.root)
        self._prune(created)
        return version

    def versions(self) -> list[str]:
        """See :class:`Snapshots`."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith(_TMP))

    def size(self, version: str) -> int:
        """See :class:`Snapshots`."""
        return sum(file.stat().st_size for file in (self.root / version).iterdir())

    def manifest(self, version: str) -> Manifest:
        """See :class:`Snapshots`."""
        try:
            raw = (self.root / version / MANIFEST).read_bytes()
        except OSError as error:
            raise SnapshotCorrupt(f"{version}: {MANIFEST} cannot be read: {error}") from error
        return parsed(version, raw)

    def load(self, version: str) -> Snapshot:
        """See :class:`Snapshots`."""
        manifest = self.manifest(version)
        components = {}
        for name, digest in manifest.files.items():
            path = self.root / version / name
            if Path(name).name != name or not path.is_file() or _digest(path) != digest:
                raise SnapshotCorrupt(f"{version}: {name} is missing or altered")
            components[name.removesuffix(".npz")] = _read_arrays(path)
        return Snapshot(manifest, components)

    def _prune(self, now: int) -> None:
        for version in self.versions()[: -self.keep]:
            shutil.rmtree(self.root / version, ignore_errors=True)
        for left in self.root.glob(f"{_TMP}*"):
            with contextlib.suppress(OSError):  # its writer has just finished it
                if 1_000 * left.stat().st_mtime < now - _ABANDONED_MS:
                    shutil.rmtree(left, ignore_errors=True)


def next_version(created: int, taken: Collection[str]) -> str:
    """A version after those of the same moment; another process may count alike, so it ends in a word of its own.

    >>> next_version(7, ["0000000000007-000-aaaaaa"])[:17]
    '0000000000007-001'
    >>> next_version(5, ["0000000000007-000-aaaaaa"])[:17]
    '0000000000007-001'
    """
    # not before any there is, of a process whose clock was ahead, perhaps: the newest is the one written last
    created = max([created, *(int(v[:13]) for v in taken if v[:13].isdigit())])
    moment = f"{created:013d}-"
    serials = [int(v.removeprefix(moment)[:3]) for v in taken if v.startswith(moment)]
    if max(serials, default=0) >= 999:
        return next_version(created + 1, ())
    return f"{moment}{max(serials, default=-1) + 1:03d}-{uuid.uuid4().hex[:6]}"


def parsed(version: str, raw: bytes) -> Manifest:
    """A manifest as it is written.

    Raises:
        SnapshotCorrupt: it cannot be read or is of another format.
    """
    try:
        plain = orjson.loads(raw)
        if plain["format"] != FORMAT:
            raise SnapshotCorrupt(f"{version}: format {plain['format']}, this build reads {FORMAT}")
        return Manifest(**{name: plain[name] for name in Manifest.__slots__})
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise SnapshotCorrupt(f"{version}: {MANIFEST} cannot be read: {error}") from error


def _write_arrays(path: Path, arrays: Arrays) -> str:
    if any(a.dtype.hasobject for a in arrays.values()):
        raise ValueError(
            f"{path.stem}: an array of objects cannot be saved; give numbers or text of fixed width"
        )
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    return _digest(path)


def _read_arrays(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise SnapshotCorrupt(f"{path.parent.name}: {path.name} cannot be read: {error}") from error


def _write(path: Path, raw: bytes) -> None:
    with path.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
