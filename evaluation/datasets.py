"""Public data sets, read as published: the format is recognised by the file's content, gzip included.

>>> import tempfile
>>> from pathlib import Path
>>> file = Path(tempfile.mkdtemp()) / "any-name"
>>> _ = file.write_text("196\\t242\\t3\\t881250949\\n")
>>> dataset = open_dataset(file)
>>> dataset.kind, next(iter(dataset.records))
('ratings', Rating(user='196', item='242', rating=3.0, ts_ms=881250949000))
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.formats import EXPECTED, Format, Kind, recognise
from evaluation.item_files import items_beside
from evaluation.records import (
    DatasetError,
    ItemInfo,
    LoggedImpression,
    Rating,
    Record,
    SessionClick,
)

__all__ = [
    "Dataset", "DatasetError", "ItemInfo", "LoggedImpression", "Rating", "Record", "Records", "SessionClick",
    "open_dataset", "open_lines",
]  # fmt: skip

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Records:
    """The records of some files, in file order; each iteration reads the files again."""

    files: tuple[tuple[Path, Format], ...]

    def __iter__(self) -> Iterator[Record]:
        for path, form in self.files:
            with open_lines(path) as lines:
                yield from form.records(lines, path.name)

    def in_time_order(self) -> list[Record]:
        """All of them in memory, a stable sort by time: equal times keep the file's order."""
        return sorted(self, key=lambda record: record.ts_ms)


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a path holds: the kind of record, the format, the records, and what is known of the items."""

    kind: Kind
    format: str
    records: Records
    items: Mapping[str, ItemInfo] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(path for path, _ in self.records.files)


def open_dataset(path: Path | str) -> Dataset:
    """Recognise what a path holds; nothing but the first line and the items' file is read yet.

    A directory stands for the file or files of one kind in it; ``..._train_full...`` brings its ``..._test...`` along.

    Raises:
        DatasetError: there is no such file, or it is in no known format; the text lists the known ones.
    """
    path = Path(path)
    if path.is_dir():
        files = _files_of_directory(path)
    elif path.is_file():
        files = [(part, _format_of(part)) for part in (path, *_other_part(path))]
    else:
        raise DatasetError(f"{path}: there is no such file or directory")
    kind, name = files[0][1].kind, files[0][1].name
    return Dataset(kind, name, Records(tuple(files)), items_beside(files[0][0], name))


@contextmanager
def open_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[Iterator[str]]:
    """A text file's lines, decompressed where it is gzip.

    Raises:
        DatasetError: the content is no text, or the compressed data is cut short.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        plain = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            yield iter(io.TextIOWrapper(plain, encoding=encoding, newline=""))
        except (UnicodeDecodeError, EOFError, OSError) as error:
            raise DatasetError(f"{path.name}: cannot be read as text: {error}") from error


def _format_of(path: Path) -> Format:
    form = _try_format(path)
    if form is None:
        raise DatasetError(f"{path}: not in a known format. Known are:\n{EXPECTED}")
    return form


def _try_format(path: Path) -> Format | None:
    with open_lines(path) as lines:
        return recognise(next(lines, ""))


def _files_of_directory(folder: Path) -> list[tuple[Path, Format]]:
    found: list[tuple[Path, Format]] = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            form = _try_format(path)
        except DatasetError:
            continue
        if form is not None:
            found.append((path, form))
    if not found:
        raise DatasetError(f"{folder}: no file in it is in a known format. Known are:\n{EXPECTED}")
    names = {form.name for _, form in found}
    if len(names) > 1 or (found[0][1].kind == "ratings" and len(found) > 1):
        listed = ", ".join(path.name for path, _ in found)
        raise DatasetError(f"{folder}: holds several data sets, name one of: {listed}")
    return found


def _other_part(path: Path) -> list[Path]:
    other = path.with_name(path.name.replace("_train_full", "_test"))
    return [other] if other != path and other.is_file() else []
