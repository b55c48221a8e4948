"""The file formats of public data sets: each is recognised by its first line and read one record at a time.

A format is a header or a shape of line, and a function from a line's cells to a record. Times become integer
milliseconds since the epoch, UTC.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from evaluation.records import DatasetError, LoggedImpression, Rating, Record, SessionClick

Kind = Literal["ratings", "impressions", "sessions"]
Reader = Callable[[Sequence[str]], Record]
Lines = Iterator[str]

EXPECTED = """\
MovieLens   u.data        196<tab>242<tab>3<tab>881250949
            ratings.dat   1::1193::5::978300760
            ratings.csv   userId,movieId,rating,timestamp
RecBole     .inter        user_id:token<tab>item_id:token<tab>rating:float<tab>timestamp:float
Open Bandit .csv          ...,timestamp,item_id,position,click,propensity_score,...
Yoochoose   clicks        SessionId<tab>ItemId<tab>Time  or  1,2014-04-07T10:51:09.277Z,214536502,0
each plain or compressed with gzip"""


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of file is read.

    ``delimiter`` is one character, or ``::``; ``header`` says whether the first line holds names.
    """

    name: str
    kind: Kind
    delimiter: str
    header: bool
    reader: Reader
    wanted: str

    def records(self, lines: Lines, path: str) -> Iterator[Record]:
        """The records of a file's lines.

        Raises:
            DatasetError: a line cannot be read; the text names it and what was wanted.
        """
        for number, cells in self._cells(lines):
            try:
                yield self.reader(cells)
            except (ValueError, IndexError) as error:
                shown = self.delimiter.join(cells)[:80]
                raise DatasetError(f"{path}: line {number}: wanted {self.wanted}, found {shown!r}") from error

    def _cells(self, lines: Lines) -> Iterator[tuple[int, Sequence[str]]]:
        rows: Iterator[Sequence[str]]
        if self.delimiter == ",":
            rows = csv.reader(lines)
        else:
            rows = (line.rstrip("\r\n").split(self.delimiter) for line in lines)
        for number, cells in enumerate(rows, start=1):
            if (number > 1 or not self.header) and cells and cells != [""]:
                yield number, cells


def recognise(line: str) -> Format | None:
    """The format whose files begin with this line; None where none does.

    >>> recognise("196\\t242\\t3\\t881250949").name, recognise("1::1193::5::978300760").name
    ('u.data', 'ratings.dat')
    >>> recognise("SessionId\\tItemId\\tTime").kind
    'sessions'
    """
    line = line.removeprefix("\ufeff").rstrip("\r\n")
    return next((found for test in _TESTS if (found := test(line)) is not None), None)


def millis(text: str) -> int:
    """A time as milliseconds: seconds since the epoch, or ISO 8601 (UTC where it names no zone).

    >>> millis("881250949"), millis("1396860669.277"), millis("2014-04-07T10:51:09.277Z")
    (881250949000, 1396860669277, 1396867869277)
    """
    try:
        return round(float(text) * 1_000)
    except (ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


# ---------------------------------------------------------------------- ratings


def _rating(user: int, item: int, rating: int | None, ts: int) -> Reader:
    def read(cells: Sequence[str]) -> Rating:
        value = 1.0 if rating is None else float(cells[rating])
        return Rating(_filled(cells[user]), _filled(cells[item]), value, millis(cells[ts]))

    return read


def _u_data(line: str) -> Format | None:
    if not re.fullmatch(r"\d+\t\d+\t\d+(\.\d+)?\t\d+", line):
        return None
    return Format("u.data", "ratings", "\t", False, _rating(0, 1, 2, 3), "user, item, rating, seconds")


def _ratings_dat(line: str) -> Format | None:
    if not re.fullmatch(r"\d+::\d+::\d+(\.\d+)?::\d+", line):
        return None
    return Format("ratings.dat", "ratings", "::", False, _rating(0, 1, 2, 3), "user::item::rating::seconds")


def _ratings_csv(line: str) -> Format | None:
    names = _names(line, ",")
    if not {"userId", "movieId", "rating", "timestamp"} <= set(names):
        return None
    at = [names.index(name) for name in ("userId", "movieId", "rating", "timestamp")]
    return Format("ratings.csv", "ratings", ",", True, _rating(*at), "userId,movieId,rating,timestamp")


def _inter(line: str) -> Format | None:
    names = [name.partition(":")[0] for name in line.split("\t")]
    if ":token" not in line or "item_id" not in names or "timestamp" not in names:
        return None
    item, ts = names.index("item_id"), names.index("timestamp")
    if "user_id" in names:
        rating = names.index("rating") if "rating" in names else None
        reader = _rating(names.index("user_id"), item, rating, ts)
        return Format(".inter", "ratings", "\t", True, reader, line.replace("\t", ", "))
    if "session_id" in names:
        reader = _click(names.index("session_id"), item, ts)
        return Format(".inter", "sessions", "\t", True, reader, line.replace("\t", ", "))
    return None


# ---------------------------------------------------------------------- sessions


def _click(session: int, item: int, ts: int) -> Reader:
    def read(cells: Sequence[str]) -> SessionClick:
        return SessionClick(_filled(cells[session]), _filled(cells[item]), millis(cells[ts]))

    return read


def _yoochoose(line: str) -> Format | None:
    for delimiter in ("\t", ","):
        names = _names(line, delimiter)
        if {"SessionId", "ItemId", "Time"} <= set(names):
            at = [names.index(name) for name in ("SessionId", "ItemId", "Time")]
            return Format("yoochoose", "sessions", delimiter, True, _click(*at), "SessionId, ItemId, Time")
    return None


def _yoochoose_original(line: str) -> Format | None:
    if not re.fullmatch(r"\d+,\d{4}-\d\d-\d\dT[\d:.]+Z,\d+(,\w+)?", line):
        return None
    return Format(
        "yoochoose-clicks.dat", "sessions", ",", False, _click(0, 2, 1), "session,ISO time,item,category"
    )


# ---------------------------------------------------------------------- logged impressions


def _open_bandit(line: str) -> Format | None:
    names = _names(line, ",")
    wanted = ("timestamp", "item_id", "position", "click", "propensity_score")
    if not set(wanted) <= set(names):
        return None
    ts, item, position, click, propensity = (names.index(name) for name in wanted)
    features = [k for k, name in enumerate(names) if name.startswith("user_feature")]
    affinities = [k for k, name in enumerate(names) if name.startswith("user-item_affinity")]

    def read(cells: Sequence[str]) -> LoggedImpression:
        who = tuple(cells[k] for k in features)
        return LoggedImpression(
            user=sha256("|".join(who).encode()).hexdigest()[:16],
            item=_filled(cells[item]),
            position=int(cells[position]),
            click=bool(int(cells[click])),
            propensity=_probability(cells[propensity]),
            ts_ms=millis(cells[ts]),
            user_features=who,
            affinities=tuple(float(cells[k]) for k in affinities),
        )

    return Format("open-bandit", "impressions", ",", True, read, ",".join(wanted))


_TESTS = (_u_data, _ratings_dat, _ratings_csv, _inter, _yoochoose, _yoochoose_original, _open_bandit)


def _names(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _filled(cell: str) -> str:
    if not cell:
        raise ValueError("an id is empty")
    return cell


def _probability(cell: str) -> float:
    value = float(cell)
    if not 0.0 < value <= 1.0:
        raise ValueError(f"a propensity is in (0, 1], not {value}")
    return value
