"""``freshet demo``: broker, Redis, worker, API and users on one machine; nothing is installed, nothing kept."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from streams import settings as freshet_settings
from streams.children import LOOPBACK, Child, free_port, port_is_taken
from streams.cli_common import console
from streams.demo_traffic import Play, in_thread, play_of
from streams.demo_view import table
from streams.demo_watch import Watch
from streams.embedded import PARTITIONS, EmbeddedKafka, EmbeddedRedis
from streams.settings import Settings

START_TIMEOUT_S = 60.0
WINDOW_MS = 15_000
REFRESH_S = 0.25


def run(
    *, data: Path | None, duration_s: float | None, seed: int, as_json: bool, given: Mapping[str, Any]
) -> int:
    """Everything, until ``duration_s`` is over, the data is through, or Ctrl-C; returns the exit code."""
    begun = time.monotonic()
    told = console(stderr=as_json)
    with _interruptible() as ended, ExitStack() as stack:
        settings = _settings(stack, seed, given)
        told.print("starting embedded Kafka, embedded Redis, a worker and the API ...")
        _start(stack, settings)
        base = f"http://{settings.http_host}:{settings.http_port}"
        watch = Watch(settings)
        stack.callback(watch.close)
        play = play_of(settings, watch, base, data=data, seed=seed, duration_s=duration_s)
        told.print(f"ready after {time.monotonic() - begun:.1f} s")
        told.print(f"  watch it learn   {base}/\n  the API          {base}/docs")
        figures = _show(play, watch, ended, duration_s, base, quiet=as_json)
    if as_json:
        sys.stdout.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that all that was started is stopped in order."""
    ended = threading.Event()
    before = {n: signal.signal(n, lambda *_: ended.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _settings(stack: ExitStack, seed: int, given: Mapping[str, Any]) -> Settings:
    """Settings of a deployment that lives in a temporary folder, on free ports."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="freshet-demo-"))
    redis = stack.enter_context(EmbeddedRedis())
    kafka = stack.enter_context(EmbeddedKafka())
    kafka.ensure("demo")
    preferred = Settings.model_fields["http_port"].default
    ours = {
        "embedded": True,
        "kafka": kafka.bootstrap,
        "redis_url": redis.url,
        "namespace": "demo",
        "partitions": PARTITIONS,
        "snapshot_dir": str(Path(folder) / "snapshots"),
        "attribution_window_ms": WINDOW_MS,
        "slate_cpu_share": 0.8,
        "http_port": free_port() if port_is_taken(preferred) else preferred,
        "metrics_port": free_port(),
        "seed": seed,
        "log_format": "text",
    }
    return freshet_settings.load(**{**ours, **given})


def _start(stack: ExitStack, settings: Settings) -> None:
    """A worker and the API, ready."""
    env = freshet_settings.as_environment(settings)
    logs = Path(settings.snapshot_dir).parent
    children = [
        Child([sys.executable, "-m", "streams", command], log=logs / f"{command}.log", env=env)
        for command in ("worker", "serve")
    ]
    for child in children:
        child.start()
        stack.callback(child.stop)
    worker, api = children
    worker.wait_ready(lambda: _owns_all(settings), timeout_s=START_TIMEOUT_S, what="the worker")
    api.wait_ready(lambda: _answers(settings, "/readyz"), timeout_s=START_TIMEOUT_S, what="the API")


def _owns_all(settings: Settings) -> bool:
    text = _get(f"http://{LOOPBACK}:{settings.metrics_port}/metrics")
    return f"freshet_owned_partitions {float(PARTITIONS)}" in text


def _answers(settings: Settings, path: str) -> bool:
    return bool(_get(f"http://{settings.http_host}:{settings.http_port}{path}"))


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310  a port of our own
            return str(answer.read().decode())
    except (OSError, urllib.error.HTTPError):
        return ""


def _show(
    play: Play, watch: Watch, ended: threading.Event, duration_s: float | None, base: str, *, quiet: bool
) -> dict[str, Any]:
    """The live table until the end; the last figures."""
    from rich.live import Live

    errors: list[BaseException] = []
    begun, until = time.monotonic(), time.monotonic() + (duration_s or float("inf"))
    over = threading.Event()
    thread = in_thread(play, over, errors.append)
    last = (begun, 0, 0.0)
    figures = _figures(play, watch, 0.0)
    with Live(console=console(), refresh_per_second=8, transient=False, auto_refresh=not quiet) as live:
        while not ended.wait(REFRESH_S) and time.monotonic() < until and thread.is_alive():
            last = _rate(last, play.events)
            figures = _figures(play, watch, last[2])
            if not quiet:
                where = f"watch it learn at {base}/   Ctrl-C ends it"
                live.update(table(figures, watch, where=where, titles=play.titles))
    over.set()
    thread.join(10.0)
    if errors:
        raise errors[0]
    return {**figures, **_figures(play, watch, figures["events_per_s"]), "seconds": time.monotonic() - begun}


def _rate(last: tuple[float, int, float], events: int) -> tuple[float, int, float]:
    """Events per second since about a second ago."""
    now = time.monotonic()
    if now - last[0] < 1.0:
        return last
    return now, events, (events - last[1]) / (now - last[0])


def _figures(play: Play, watch: Watch, events_per_s: float) -> dict[str, Any]:
    return {
        "events": play.events,
        "events_per_s": events_per_s,
        "recommendations": watch.counts["recommendations"],
        "dead_letters": watch.counts["dead-letters"],
        "drift_signals": watch.counts["drift-signals"],
        "freshness_p50_ms": watch.freshness(50),
        "freshness_p99_ms": watch.freshness(99),
        **play.rates(),
    }
