"""Titles and genres: the file that a data set brings along for its items, found beside the one that was named."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from evaluation.records import ItemInfo

Parsed = Iterator[tuple[str, ItemInfo]]
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def items_beside(path: Path, form: str) -> Mapping[str, ItemInfo]:
    """What the sibling file says of the items, by id; empty where there is no such file.

    A line that cannot be read is passed over: titles are welcome, never needed.
    """
    if form not in _SIBLINGS:
        return {}
    names, encoding, parse = _SIBLINGS[form]
    for name in names(path.name):
        for sibling in (path.with_name(name), path.with_name(name + ".gz")):
            if sibling.is_file() and sibling != path:
                return dict(parse(_lines(sibling, encoding)))
    return {}


def _lines(path: Path, encoding: str) -> list[str]:
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    return raw.decode(encoding, "replace").splitlines()


def _recbole(lines: list[str]) -> Parsed:
    header = [cell.partition(":")[0] for cell in lines[0].split("\t")] if lines else []
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=False))
        tags = next((row[name] for name in ("class", "genre", "genres", "categories") if name in row), "")
        title = row.get("movie_title") or row.get("title") or ""
        if row.get("item_id"):
            yield row["item_id"], ItemInfo(title, tuple(tags.split()), _year(row.get("release_year", "")))


def _u_item(lines: list[str]) -> Parsed:
    for line in lines:
        cells = line.split("|")
        if len(cells) == 5 + len(_GENRES):
            tags = tuple(g for g, flag in zip(_GENRES, cells[5:], strict=True) if flag == "1")
            yield cells[0], _titled(cells[1], tags)


def _movies_dat(lines: list[str]) -> Parsed:
    for line in lines:
        cells = line.split("::")
        if len(cells) == 3:
            yield cells[0], _titled(cells[1], tuple(cells[2].split("|")))


def _movies_csv(lines: list[str]) -> Parsed:
    for row in csv.DictReader(lines):
        tags = tuple(t for t in (row.get("genres") or "").split("|") if t and t != "(no genres listed)")
        if row.get("movieId"):
            yield row["movieId"], _titled(row.get("title") or "", tags)


def _item_context(lines: list[str]) -> Parsed:
    """Open Bandit: hashed features; the categorical ones serve as tags."""
    for row in csv.DictReader(lines):
        features = {k: v for k, v in row.items() if k and k.startswith("item_feature_") and v}
        tags = tuple(f"{k.rsplit('_', 1)[1]}:{v[:8]}" for k, v in features.items() if not _is_number(v))
        if row.get("item_id"):
            yield row["item_id"], ItemInfo(f"item {row['item_id']}", tags)


def _titled(title: str, tags: tuple[str, ...]) -> ItemInfo:
    year = _YEAR.search(title)
    return ItemInfo(_YEAR.sub("", title).strip(), tags, int(year[1]) if year else None)


def _year(cell: str) -> int | None:
    return int(cell) if cell.isdecimal() else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return not re.fullmatch(r"[0-9a-f]{32}", cell)


Siblings = tuple[Callable[[str], tuple[str, ...]], str, Callable[[list[str]], Parsed]]
_SIBLINGS: dict[str, Siblings] = {
    ".inter": (lambda n: (n.replace(".inter", ".item").removesuffix(".gz"),), "utf-8", _recbole),
    "u.data": (lambda n: ("u.item",), "latin-1", _u_item),
    "ratings.dat": (lambda n: ("movies.dat",), "latin-1", _movies_dat),
    "ratings.csv": (lambda n: ("movies.csv",), "utf-8", _movies_csv),
    "open-bandit": (
        lambda n: (n.replace(".csv", ".item_context.csv").removesuffix(".gz"), "item_context.csv"),
        "utf-8",
        _item_context,
    ),
}
