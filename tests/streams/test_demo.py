"""``freshet demo`` as a newcomer runs it: it shows what it promises, and leaves nothing running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMISED = {
    "events", "recommendations", "dead_letters", "drift_signals", "freshness_p50_ms", "freshness_p99_ms",
    "ctr_policy", "ctr_random", "ctr_popular",
}  # fmt: skip


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment that marks all processes of one demo; nothing of it runs any more at the end."""
    (tmp_path / "tmp").mkdir()
    yield {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    for pid in _processes(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def _processes(mark: str) -> list[int]:
    """Processes whose environment or command holds the mark, this one aside."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            if mark.encode() in told and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def _hears_ctrl_c() -> None:
    """A background process of a shell ignores SIGINT; a demo in a terminal does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _demo(env: dict[str, str], *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streams", "demo", "--json", *args],
        cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_hears_ctrl_c,  # noqa: PLW1509
    )  # fmt: skip


@pytest.mark.timeout(240)
def test_it_shows_what_it_promises_and_ends_all_it_started(marked: dict[str, str]) -> None:
    demo = _demo(marked, "--duration", "6", "--seed", "3")
    out, told = demo.communicate(timeout=200)
    assert demo.returncode == 0, told
    figures = orjson.loads(out)
    assert figures.keys() >= PROMISED
    assert figures["events"] > 0
    assert figures["recommendations"] > 0
    assert figures["dead_letters"] == 0
    assert 0.0 <= figures["freshness_p50_ms"] <= figures["freshness_p99_ms"]
    assert _processes(marked["TMPDIR"]) == []
    assert list(Path(marked["TMPDIR"]).glob("freshet-*")) == []


@pytest.mark.timeout(240)
def test_ctrl_c_ends_it_in_order_with_its_figures(marked: dict[str, str]) -> None:
    demo = _demo(marked)
    assert demo.stderr is not None
    deadline = time.monotonic() + 120
    for line in demo.stderr:
        assert time.monotonic() < deadline, "it was not ready in time"
        if "ready after" in line:
            break
    demo.send_signal(signal.SIGINT)
    out, told = demo.communicate(timeout=120)
    assert demo.returncode == 0, told
    assert orjson.loads(out).keys() >= PROMISED
    assert "Traceback" not in told
    assert _processes(marked["TMPDIR"]) == []
