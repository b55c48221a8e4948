"""Snapshots in object storage: S3 and what speaks like it, Google Cloud Storage, Azure, by a URL.

A version is the objects ``<version>/<component>.npz`` and, written last, ``<version>/manifest.json``: until that is
there nobody sees the version, and an upload that was cut off is swept away an hour later. Each snapshot is made and
read through a local folder, so that it is checked as one on disk is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from online_models.base import Arrays
from online_models.errors import SnapshotCorrupt
from online_models.snapshot import (
    MANIFEST,
    Manifest,
    Snapshot,
    Snapshots,
    SnapshotStore,
    next_version,
    parsed,
)

_ABANDONED_MS = 3_600_000


def open_snapshots(place: str, *, keep: int = 5) -> Snapshots:
    """Snapshots in a folder, or in object storage where ``place`` is a URL (``s3://bucket/prefix``).

    Raises:
        RuntimeError: object storage is asked for and its package is not installed.

    >>> type(open_snapshots("snapshots")).__name__
    'SnapshotStore'
    """
    return BucketSnapshots(place, keep=keep) if "://" in place else SnapshotStore(Path(place), keep=keep)


class BucketSnapshots(Snapshots):
    """Snapshots under a URL, the newest ``keep`` of them.

    Args:
        url: ``s3://bucket/prefix``, ``gs://...``, ``az://...`` or ``file:///folder``; credentials and endpoint are
            those of the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL`` and so on).
    """

    def __init__(self, url: str, *, keep: int = 5) -> None:
        super().__init__(keep=keep)
        self.url = url
        try:
            self._obstore = import_module("obstore")
        except ImportError as error:
            raise RuntimeError(f"{url} is object storage:  pip install 'freshet[bucket]'") from error
        more = {"mkdir": True} if url.startswith("file:") else {}
        try:
            self._bucket = import_module("obstore.store").from_url(url, **more)
        except self._obstore.exceptions.BaseError as error:
            raise ValueError(f"snapshot_dir {url} is no address of object storage: {error}") from error

    def save(
        self,
        components: Mapping[str, Arrays],
        *,
        created: int,
        positions: Mapping[str, int],
        schema: str,
        notes: Mapping[str, Any] | None = None,
    ) -> str:
        """See :class:`online_models.snapshot.Snapshots`."""
        with TemporaryDirectory() as folder, self._reached():
            local = SnapshotStore(Path(folder), keep=1)
            made = local.save(components, created=created, positions=positions, schema=schema, notes=notes)
            version = self._put(Path(folder) / made, created)
            self._prune(created)
        return version

    def _put(self, folder: Path, created: int) -> str:
        """Upload a snapshot, the manifest last."""
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
        version = next_version(created, self._held())
        for name in manifest["files"]:
            self._obstore.put(self._bucket, f"{version}/{name}", folder / name)
        told = orjson.dumps({**manifest, "version": version}, option=orjson.OPT_INDENT_2)
        self._obstore.put(self._bucket, f"{version}/{MANIFEST}", told)
        return version

    def versions(self) -> list[str]:
        """See :class:`online_models.snapshot.Snapshots`."""
        return sorted(version for version, names in self._held().items() if MANIFEST in names)

    def size(self, version: str) -> int:
        """See :class:`online_models.snapshot.Snapshots`."""
        with self._reached():
            return sum(found["size"] for page in self._obstore.list(self._bucket, version) for found in page)

    def manifest(self, version: str) -> Manifest:
        """See :class:`online_models.snapshot.Snapshots`."""
        return parsed(version, self._get(version, MANIFEST))

    def load(self, version: str) -> Snapshot:
        """See :class:`online_models.snapshot.Snapshots`."""
        with TemporaryDirectory() as root:
            folder = Path(root) / version
            folder.mkdir()
            (folder / MANIFEST).write_bytes(self._get(version, MANIFEST))
            store = SnapshotStore(Path(root))
            for name in store.manifest(version).files:
                if Path(name).name != name:
                    raise SnapshotCorrupt(f"{version}: {name} is no name of a file")
                (folder / name).write_bytes(self._get(version, name))
            return store.load(version)

    def _get(self, version: str, name: str) -> bytes:
        with self._reached():
            try:
                return bytes(self._obstore.get(self._bucket, f"{version}/{name}").bytes())
            except FileNotFoundError as error:
                raise SnapshotCorrupt(f"{version}: {name} is missing") from error

    def _held(self) -> dict[str, dict[str, float]]:
        """When each object of each version was written, ms."""
        held: dict[str, dict[str, float]] = {}
        with self._reached():
            for page in self._obstore.list(self._bucket):
                for found in page:
                    version, _, name = str(found["path"]).partition("/")
                    held.setdefault(version, {})[name] = 1_000 * found["last_modified"].timestamp()
        return held

    def _prune(self, now: int) -> None:
        """Drop what is beyond ``keep``, the manifest first, and uploads that were never finished."""
        held = self._held()
        whole = sorted(version for version, names in held.items() if MANIFEST in names)
        old = now - _ABANDONED_MS
        cut_off = [v for v, names in held.items() if MANIFEST not in names and max(names.values()) < old]
        for version in whole[: -self.keep] + cut_off:
            names = sorted(held[version], key=lambda name: name != MANIFEST)
            for name in names:
                self._obstore.delete(self._bucket, f"{version}/{name}")

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What object storage answers as an error of the operating system, which callers expect."""
        try:
            yield
        except self._obstore.exceptions.BaseError as error:
            raise OSError(f"{self.url}: {error}") from error
