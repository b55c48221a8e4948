"""A demo of its own for the tests in a browser."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.children import LOOPBACK, Child, free_port
from tests.browser import chromium

START_TIMEOUT_S = 90.0


@contextmanager
def demo(folder: Path, seconds: int = 600) -> Iterator[str]:
    """``freshet demo``, and the address of its console."""
    port = free_port()
    command = ["-m", "streams", "demo", "--json", "--duration", str(seconds), "--http-port", str(port)]
    child = Child([sys.executable, *command], log=folder / "demo.log")
    child.start()
    try:
        base = f"http://{LOOPBACK}:{port}"
        child.wait_ready(lambda: _ready(base), timeout_s=START_TIMEOUT_S, what="the demo")
        yield base
    finally:
        child.stop()


def _ready(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running console; skips where there is no browser to look at it."""
    if lacking := chromium.missing():
        if os.environ.get("FRESHET_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{lacking} (FRESHET_REQUIRE_BROWSER=1)", pytrace=False)
        pytest.skip(lacking)
    with demo(tmp_path_factory.mktemp("console")) as base:
        yield base
