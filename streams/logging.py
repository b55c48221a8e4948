"""Logs: one JSON object a line in production, readable on a terminal, and no personal data in either.

A record may carry facts beside its text (``log.info("...", extra={"partition": 3})``); they become fields. Who a
person is never does: such fields are left out, whoever passes them. The request being answered, and the trace it is in
where traces are on, are told by themselves: ``request_id``, ``trace_id``, ``span_id``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

from serving import current

PERSONAL = frozenset({"user_id", "user", "anonymous_id", "key", "raw", "value", "attributes", "context"})
"""Fields that may say who somebody is or what somebody did: never written."""

_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# kafka-python logs each attempt of a connection as an error, and then raises what matters.
_HELD = {
    "kafka": "CRITICAL",
    "aiokafka": "WARNING",
    "faust": "WARNING",
    "mode": "WARNING",
    "asyncio": "WARNING",
    "uvicorn": "WARNING",
    # Faust's services log their life under the module of their class
    "streams.faust_app": "WARNING",
    "streams.transport_consumer": "WARNING",
    "streams.transport_fetch": "WARNING",
}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m", "DEBUG": "\x1b[2m"}


class JsonLines(logging.Formatter):
    """One record, one JSON object: ``ts`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, and its fields.

    >>> record = logging.makeLogRecord({"msg": "moved", "levelname": "INFO", "partition": 3, "user_id": "alice"})
    >>> sorted(orjson.loads(JsonLines().format(record)))
    ['level', 'logger', 'message', 'partition', 'ts']
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "ts": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Readable(logging.Formatter):
    """A line for people: time of day, level, text, fields.

    >>> record = logging.makeLogRecord({"msg": "moved", "levelname": "INFO", "name": "freshet", "partition": 3})
    >>> Readable(colour=False).format(record).split(maxsplit=1)[1]
    'INFO    freshet: moved  partition=3'
    """

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line, and an exception's traceback under it."""
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        line = f"{moment} {record.levelname:<7} {record.name}: {record.getMessage()}{fields}"
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + self.formatException(record.exc_info)
        colour = _COLOURS.get(record.levelname, "") if self._colour else ""
        return f"{colour}{line}\x1b[0m" if colour else line


def configure(
    form: Literal["auto", "json", "text"] = "auto", level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send all logs of this process to ``stream`` (standard error), in one form.

    Args:
        form: auto is text on a terminal and JSON elsewhere.
        level: the least severity logged; libraries are held to WARNING.
    """
    out = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(Readable(colour=out.isatty()) if as_text else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in _HELD.items():
        logging.getLogger(name).setLevel(max(logging.getLevelName(level), logging.getLevelName(least)))
    logging.captureWarnings(True)


def also(told: Callable[[], Mapping[str, str]]) -> None:
    """Fields of what is under way, to be told with every line from now on."""
    if told not in _UNDER_WAY:
        _UNDER_WAY.append(told)


_UNDER_WAY: list[Callable[[], Mapping[str, str]]] = [current.told]


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = vars(record).items()
    fields = {k: v for k, v in given if k not in _OF_EVERY_RECORD and k not in PERSONAL}
    for told in _UNDER_WAY:
        fields = {**told(), **fields}
    return fields
