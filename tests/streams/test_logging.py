"""Logs: an object a line where machines read them, a readable line where people do, nobody's data in either."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from streams import logging as freshet_logging

PERSONAL = {"user_id": "alice", "key": b"alice", "raw": b"alice", "context": {"who": "alice"}}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


@pytest.mark.parametrize("form", ["json", "text"])
def test_personal_data_passed_by_mistake_is_left_out(form: str) -> None:
    out = io.StringIO()
    freshet_logging.configure(form, "INFO", out)  # type: ignore[arg-type]
    logging.getLogger("freshet").info("a slate went out", extra={**PERSONAL, "request_id": "r-1"})
    assert "alice" not in out.getvalue()
    assert "r-1" in out.getvalue()


def test_a_line_for_machines_is_one_object_with_its_error() -> None:
    out = io.StringIO()
    freshet_logging.configure("json", "INFO", out)
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("freshet").exception("failed", extra={"partition": 3})
    [line] = out.getvalue().splitlines()
    told = json.loads(line)
    assert (told["level"], told["message"], told["partition"], told["error"]) == (
        "ERROR", "failed", 3, "ValueError",
    )  # fmt: skip
    assert told["ts"].endswith("Z") and "a\nb" in told["traceback"]


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    for out, is_json in ((_Terminal(), False), (io.StringIO(), True)):
        freshet_logging.configure("auto", "INFO", out)
        logging.getLogger("freshet").warning("hello")
        assert out.getvalue().startswith("{") is is_json


def test_libraries_are_held_to_warnings_and_the_level_holds() -> None:
    out = io.StringIO()
    freshet_logging.configure("json", "DEBUG", out)
    logging.getLogger("aiokafka.consumer").info("joined")
    logging.getLogger("streams").debug("seen")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["seen"]
