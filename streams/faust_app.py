"""A Faust application set up as freshet needs it, and running it without a web server.

Several applications may live in one process and one loop, each with its own consumer group.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import faust
from faust.app.base import BootStrategy
from yarl import URL

from streams.transport_batch import Hooks, Options

_NO_WEB = {"web_enabled": False, "web_router_enabled": False, "web_tables_enabled": False}


class _NoWeb(BootStrategy):  # type: ignore[misc]
    enable_web = False  # web_enabled=False alone still binds 0.0.0.0:6066


class FreshetApp(faust.App):  # type: ignore[misc]
    """An application whose transport has hooks."""

    BootStrategy = _NoWeb
    transport_hooks: Hooks
    transport_options: Options

    def _create_directories(self) -> None:
        """None: there are no tables to keep on disk."""


def make_app(
    group: str,
    bootstrap: str | Sequence[str],
    *,
    hooks: Hooks | None = None,
    options: Options | None = None,
    session_timeout_s: float = 10.0,
    heartbeat_s: float = 2.0,
    poll_interval_s: float = 60.0,
    rebalance_timeout_s: float = 20.0,
    commit_interval_s: float = 1.0,
    copartition: bool = True,
    instance_id: str | None = None,
    credentials: Any = None,
    **conf: Any,
) -> FreshetApp:
    """An application that reads as one member of consumer group ``group``.

    Args:
        group: the consumer group, namespace included.
        bootstrap: ``host:port``, or several.
        hooks: what the transport asks and tells; may be filled in until the application starts.
        options: how the transport reads.
        session_timeout_s: a member that is silent for so long is replaced.
        poll_interval_s: a member whose loop is blocked for so long leaves the group.
        copartition: topics of equal partition count stay together (Faust's assignor); False for round robin.
        instance_id: static membership: a restart within the session causes no rebalance.
        credentials: ``ssl.SSLContext`` or Faust's SASL credentials.
        conf: further settings of Faust, which go before ours.

    Raises:
        ValueError: a time out of range.
    """
    if not 0 < heartbeat_s * 2 <= session_timeout_s:
        raise ValueError(f"heartbeat_s: above 0, at most half of session_timeout_s={session_timeout_s}")
    servers = [bootstrap] if isinstance(bootstrap, str) else list(bootstrap)
    ours: dict[str, Any] = {
        "broker": [URL(f"freshet://{server}") for server in servers],
        "broker_session_timeout": session_timeout_s,
        "broker_heartbeat_interval": heartbeat_s,
        "broker_max_poll_interval": poll_interval_s,
        "broker_rebalance_timeout": rebalance_timeout_s,
        "broker_request_timeout": max(40.0, session_timeout_s),
        "broker_commit_interval": commit_interval_s,
        "broker_credentials": credentials,
        "consumer_group_instance_id": instance_id,
        "consumer_metadata_max_age_ms": 30_000,  # when added partitions are seen
        "stream_wait_empty": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 1
        if copartition
        else 0,  # above 0 is how Faust is told to use its own assignor
        "store": "memory://",
        **_NO_WEB,
    }
    app = FreshetApp(group, **{**ours, **conf})
    app.transport_hooks = hooks or Hooks()
    app.transport_options = options or Options()
    return app


async def run(*apps: faust.App, beside: Sequence[asyncio.Task[None]] = ()) -> None:
    """Run applications until SIGTERM or SIGINT, or until one of them fails; then stop them in turn.

    Args:
        beside: tasks that must not end either: what one of them raises is raised here.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, ValueError):  # not the main thread
            loop.add_signal_handler(number, stop.set)
    try:
        for app in apps:
            app.finalize()
            await start(app, stop)
        ended = [asyncio.ensure_future(app.wait_until_stopped()) for app in apps]
        asked = asyncio.ensure_future(stop.wait())
        await asyncio.wait([asked, *ended, *beside], return_when=asyncio.FIRST_COMPLETED)
        for task in (asked, *ended):
            task.cancel()
    finally:
        for app in reversed(apps):
            await app.stop()
    for app in apps:
        if app.crash_reason is not None:
            raise app.crash_reason
    for task in beside:
        if task.done():
            task.result()


async def start(app: faust.App, stop: asyncio.Event) -> None:
    """Start an application; returns early when ``stop`` is set while it still waits for its partitions."""
    starting = asyncio.ensure_future(app.start())
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if starting.done():
        starting.result()
    else:
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting


def use_uvloop() -> bool:
    """Make uvloop the event loop of this process, where it is installed; before any loop is made."""
    try:
        import uvloop
    except ImportError:
        return False
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return True
