"""Public data sets fetched from their homes, checked by size and sha256, and unpacked.

None of them comes with freshet: their terms forbid passing them on, or ask to be read first.
"""

from __future__ import annotations

import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from evaluation.records import DatasetError

CHUNK = 1 << 20
TIMEOUT_S = 60.0
Progress = Callable[[int, int], None]


class DownloadError(DatasetError):
    """A data set could not be fetched, or is not what its checksum says; nothing of it was kept."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file at its home: what it must be, and what it is called here."""

    url: str
    bytes: int
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set: its files, the one to open, and its terms.

    ``members`` are the files wanted of a zip archive.
    """

    about: str
    terms: str
    files: tuple[RemoteFile, ...]
    main: str
    members: tuple[str, ...] = ()


def _movielens(name: str, size: int, digest: str, about: str, main: str, *members: str) -> Source:
    archive = RemoteFile(
        f"https://files.grouplens.org/datasets/movielens/{name}.zip", size, digest, f"{name}.zip"
    )
    terms = f"https://files.grouplens.org/datasets/movielens/{name}-README.txt: research use, no passing on"
    return Source(about, terms, (archive,), main, (main, *members))


def _open_bandit(policy: str, campaign: str, commits: tuple[str, str], told: tuple[Any, ...]) -> Source:
    home = "https://raw.githubusercontent.com/st-tech/zr-obp"
    data, context = commits
    folder = f"obp/dataset/obd/{policy}/{campaign}"
    name = f"obd.{policy}.{campaign}"
    files = (
        RemoteFile(f"{home}/{data}/{folder}/{campaign}.csv", told[0], told[1], f"{name}.csv"),
        RemoteFile(
            f"{home}/{context}/{folder}/item_context.csv", told[2], told[3], f"{name}.item_context.csv"
        ),
    )
    about = f"10,000 impressions of ZOZOTOWN, {campaign}'s campaign, logged by the {policy} policy"
    return Source(about, "https://research.zozo.com/data.html: see there", files, f"{name}.csv")


_MEN, _ALL = "12eb4f1738b8220498f9faed5ff6a4ffe5f4c626", "e86eab53f14b2de66de70841d65f01b1595403a9"
_BTS_WOMEN_ITEMS = "c9ad20cc89db55c85e1a502e923e9c41ab1635f2"
_RANDOM_WOMEN = "bd0dbf2b7f19184811c9a2fc31ac075c8e936871"

SOURCES: Mapping[str, Source] = {
    "ml-100k": _movielens(
        "ml-100k", 4_924_029, "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        "MovieLens, 100,000 ratings, 943 users, 1,682 films, 1997-98", "u.data", "u.item",
    ),
    "ml-1m": _movielens(
        "ml-1m", 5_917_549, "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        "MovieLens, 1,000,209 ratings, 6,040 users, 3,706 films, 2000-03", "ratings.dat", "movies.dat",
    ),
    "ml-20m": _movielens(
        "ml-20m", 198_702_078, "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        "MovieLens, 20 million ratings, 138,493 users, 1995-2015", "ratings.csv", "movies.csv",
    ),
    "ml-25m": _movielens(
        "ml-25m", 261_978_986, "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
        "MovieLens, 25 million ratings, 162,541 users, 1995-2019", "ratings.csv", "movies.csv",
    ),
    "ml-latest-small": _movielens(
        "ml-latest-small", 978_202, "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        "MovieLens, 100,836 ratings, 610 users, 1996-2018", "ratings.csv", "movies.csv",
    ),
    "obd-random-men": _open_bandit("random", "men", (_MEN, _MEN), (
        3_336_811, "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb",
        4_287, "6d855c2b7e917d0448d71bbe62c023147495882c0fdc8c41e86fef86abf9fe09",
    )),
    "obd-random-women": _open_bandit("random", "women", (_RANDOM_WOMEN, _ALL), (
        3_817_771, "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34",
        5_792, "b1ca4905f97703d196004f2ad4552c1e90c2afad8b50688d333b0d2dc0b33147",
    )),
    "obd-bts-men": _open_bandit("bts", "men", (_MEN, _MEN), (
        3_240_432, "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527",
        4_287, "3b411ed6b0471316321a6b93f4f756bb25888eac6218cd71d0b603d41d85732d",
    )),
    "obd-bts-women": _open_bandit("bts", "women", (_ALL, _BTS_WOMEN_ITEMS), (
        3_722_697, "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8",
        5_792, "a56295bad066a558eb783055afd9279f5f4e209a4776eafc22151c53f0ac89d4",
    )),
}  # fmt: skip
"""By name. Yoochoose is not among them: it is a 7z archive, which Python cannot unpack; `BY_HAND` says how."""

BY_HAND: Mapping[str, str] = {
    "yoochoose": "fetch https://s3-eu-west-1.amazonaws.com/yc-rdata/yoochoose-data.7z, unpack it with 7z (Debian: "
    "p7zip-full), and give yoochoose-clicks.dat to --data",
    "open-bandit": "the whole Open Bandit Dataset (11 GB): https://research.zozo.com/data.html; the samples are "
    "obd-random-men, obd-random-women, obd-bts-men and obd-bts-women",
}


def get(
    name: str,
    folder: Path,
    *,
    sources: Mapping[str, Source] = SOURCES,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Fetch a data set into ``folder/name`` and return the file to open; what is there already is kept.

    Args:
        progress: told of bytes so far and in all.

    Raises:
        DownloadError: no such set, no answer, or content that is not what the checksum says.
    """
    source = sources.get(name)
    if source is None:
        hint = BY_HAND.get(name) or f"there are {', '.join(sources)}"
        raise DownloadError(f"{name} cannot be fetched by name: {hint}")
    place = folder / name
    if all((place / wanted).is_file() for wanted in (source.members or [f.name for f in source.files])):
        return place / source.main
    place.mkdir(parents=True, exist_ok=True)
    for file in source.files:
        path = _fetch(file, place, progress)
        if source.members:
            _unpack(path, source.members, place)
            path.unlink()
    return place / source.main


def _fetch(file: RemoteFile, place: Path, progress: Progress) -> Path:
    partial = place / f"{file.name}.partial"
    try:
        digest = _download(file, partial, progress)
        if digest != file.sha256:
            raise DownloadError(
                f"{file.url}: its sha256 is {digest}, expected {file.sha256}: "
                "the publisher changed it, or something on the way did"
            )
        return partial.replace(place / file.name)
    except (urllib.error.URLError, OSError) as error:
        raise DownloadError(f"{file.url}: {getattr(error, 'reason', error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def _download(file: RemoteFile, partial: Path, progress: Progress) -> str:
    if not file.url.startswith(("https://", "http://127.0.0.1:")):
        raise DownloadError(f"{file.url}: only https is fetched")
    digest, done = sha256(), 0
    with (
        urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as answer,  # noqa: S310  the scheme is checked above
        partial.open("wb") as out,
    ):
        while chunk := answer.read(CHUNK):
            done += len(chunk)
            if done > file.bytes:
                raise DownloadError(f"{file.url}: longer than the {file.bytes:,} bytes it should have")
            digest.update(chunk)
            out.write(chunk)
            progress(done, file.bytes)
    return digest.hexdigest()


def _unpack(archive: Path, members: tuple[str, ...], place: Path) -> None:
    """Only the members asked for, by their last name: no path in the archive is followed."""
    with zipfile.ZipFile(archive) as opened:
        by_name = {Path(info.filename).name: info for info in opened.infolist() if not info.is_dir()}
        for member in members:
            if member not in by_name:
                raise DownloadError(f"{archive.name}: holds no {member}")
            partial = place / f"{member}.partial"
            with opened.open(by_name[member]) as packed, partial.open("wb") as out:
                while chunk := packed.read(CHUNK):
                    out.write(chunk)
            partial.replace(place / member)
