"""From settings to parts: what a worker and an API replica are made of."""

from __future__ import annotations

import ssl
import time
from typing import Any

from aiokafka.helpers import create_ssl_context

from online_models.fold_policy import FoldPolicy
from online_models.objective_weights import Weights
from online_models.shadow_loss import ShadowLoss
from online_models.store import Store
from online_models.store_client import RedisAddress
from online_models.windows import Window
from serving.assembly import assemble
from serving.recommender import Recommender
from serving.types import SurfacePolicy
from streams.metered import Metered
from streams.monitor import Monitor, bubble_of
from streams.replica import PART, Replica
from streams.settings import Settings
from streams.slates import CpuBudget
from streams.transport_batch import Options
from streams.validation import Rules


def rules(settings: Settings) -> Rules:
    """What the boundary checks beyond the schema."""
    return Rules(actions=frozenset(settings.actions), max_skew_ms=settings.max_skew_ms)


def default_surface(settings: Settings) -> str:
    """The surface that fresh slates are made for."""
    return next(iter(settings.surfaces))


def fold_policy(settings: Settings) -> FoldPolicy:
    """What the fold is told."""
    fatigued = [name for name, surface in settings.surfaces.items() if surface.seen == "fatigue"]
    return FoldPolicy(
        actions=settings.actions,
        window_ms=settings.attribution_window_ms,
        windows=windows(settings),
        lateness_ms=settings.allowed_lateness_ms,
        pending_ttl_ms=settings.pending_ttl_ms,
        pending_max=settings.pending_max,
        ring_size=settings.dedupe_ring,
        ring_ttl_ms=settings.dedupe_ms,
        seen_max=settings.seen_max,
        events_per_day=settings.events_per_user_day,
        half_life_ms=settings.half_life_ms,
        fatigue_surfaces=frozenset(fatigued),
        users_in_memory=settings.user_cache,
    )


def windows(settings: Settings) -> dict[str, Window]:
    """How long further actions are waited for: as is said, or as long as a click is where weights name them."""
    declared = settings.attribution_windows
    return {
        action: Window(declared[action].ms, declared[action].after == "click")
        if action in declared
        else Window(settings.attribution_window_ms)
        for action in settings.objective_actions()
    }


def surfaces(settings: Settings) -> dict[str, SurfacePolicy]:
    """How slates are made, by surface."""
    return {
        name: SurfacePolicy(
            **surface.model_dump(exclude={"objectives"}),
            objectives=Weights.parse(surface.objectives, settings.actions),
        )
        for name, surface in settings.surfaces.items()
    }


def redis_address(settings: Settings) -> RedisAddress:
    """Where Redis is."""
    return RedisAddress(
        settings.redis_url.get_secret_value(),
        mode=settings.redis_mode,
        master=settings.redis_master,
        sentinel_password=settings.redis_sentinel_password.get_secret_value(),
        ca=settings.redis_ssl_ca,
    )


def store(settings: Settings, **more: Any) -> Store:
    """The state of the namespace; ``more`` are further arguments of :class:`online_models.store.Store`."""
    return Store(redis_address(settings), settings.namespace, **more)


def learnt(
    settings: Settings, name: str, store: Store, *, watching: bool = True
) -> tuple[Replica, Recommender, Monitor]:
    """Models, counters and catalogue of one process, what answers from them, and what watches them.

    Args:
        watching: whether this process learns from labels of its own, and so measures them.
    """
    parts = assemble(
        surfaces(settings),
        seed=settings.seed,
        half_life_ms=settings.half_life_ms,
        negative_rate=settings.negative_rate,
        candidates=settings.candidates,
        namespace=settings.namespace,
        exploring=settings.exploration,
        windows=windows(settings),
    )
    bubble = bubble_of(parts) if watching else None
    losses = ShadowLoss(lambda: parts.learner.heads) if watching else None
    monitor = Monitor(parts.watch, bubble, parts.interner, parts.learner.objectives.watch, losses)
    parts.learner.watch = monitor if watching else None
    if watching and settings.order_learning_share > 0.0:
        parts.learner.order_budget = Metered(CpuBudget(settings.order_learning_share), time.monotonic)
    replica = Replica(
        name, parts.learner, parts.catalog, parts.interner, store, rules(settings),
        at_once=None if watching else PART,
    )  # fmt: skip
    return replica, parts.recommender, monitor


# ---------------------------------------------------------------------- Kafka


def tls(settings: Settings) -> ssl.SSLContext | None:
    """How Kafka's certificate is checked; None without TLS."""
    if "SSL" not in settings.kafka_security_protocol:
        return None
    context: ssl.SSLContext = create_ssl_context(cafile=settings.kafka_ssl_ca or None)
    return context


def kafka_client(settings: Settings) -> dict[str, Any]:
    """aiokafka's arguments: where, TLS, password."""
    args: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.kafka.split(",")],
        "security_protocol": settings.kafka_security_protocol,
    }
    if (context := tls(settings)) is not None:
        args["ssl_context"] = context
    if settings.kafka_security_protocol.startswith("SASL"):
        args |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    return args


def credentials(settings: Settings) -> Any:
    """The same for Faust; None for an open broker."""
    from faust.auth import SASLCredentials, SSLCredentials

    context = tls(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        return SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


def faust_conf(settings: Settings) -> dict[str, Any]:
    """Arguments of :func:`streams.faust_app.make_app`."""
    wait = settings.fetch_max_wait_ms
    return {
        "options": Options(wait, fetch_idle_wait_ms=wait) if settings.embedded else Options(wait),
        "session_timeout_s": settings.session_timeout_ms / 1_000,
        "heartbeat_s": min(2.0, settings.session_timeout_ms / 2_000),
        "instance_id": settings.instance_id or None,
        "credentials": credentials(settings),
    }
