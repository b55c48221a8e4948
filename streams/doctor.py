"""``freshet doctor``: is everything there that a worker needs, is it as it must be, and how to mend what is not."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from online_models.errors import FreshetError, SnapshotCorrupt, StoreUnavailable
from online_models.snapshot_bucket import open_snapshots
from online_models.store_report import StoreReport, report
from streams import build, topics
from streams.client import client_args, need_embedded
from streams.clock import wall_ms
from streams.settings import Settings, shown, unknown_variables
from streams.topics import MAX_REPLICATION, Difference

State = Literal["ok", "warning", "wrong"]
CLOCK_OFF_MS = 1_000
_PACKAGES = (
    "faust-streaming", "aiokafka", "kafka-python", "redis", "river", "hnswlib", "numpy", "orjson",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``mend`` is what to do where it is not ok."""

    state: State
    what: str
    detail: str
    mend: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, each as it is done; none raises."""
    for check in (_versions, _variables, _redis, _kafka, _snapshots):
        try:
            yield from check(settings)
        except (FreshetError, OSError, ValueError) as error:
            yield Finding("wrong", check.__name__.strip("_"), f"{type(error).__name__}: {error}")


# ---------------------------------------------------------------------- this machine


def _versions(settings: Settings) -> Iterator[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        yield Finding("ok", "Python", here)
    else:
        yield Finding("wrong", "Python", here, "install Python 3.11, 3.12 or 3.13")
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("ok", "packages", ", ".join(found))
    yield from (Finding("wrong", "packages", f"{name} is missing", f"pip install {name}") for name in missing)
    yield from _ranges()


def _ranges() -> Iterator[Finding]:
    """What is installed against what freshet asks for, where that can be compared."""
    try:
        from packaging.requirements import Requirement

        asked = metadata.requires("freshet") or []
    except (ImportError, metadata.PackageNotFoundError):
        return
    for text in asked:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield Finding("wrong", "packages", f"{wanted.name} is missing", f"pip install '{text}'")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            detail = f"{wanted.name} {version} is outside {wanted.specifier}"
            yield Finding("wrong", "packages", detail, f"pip install '{text}'")


def _variables(settings: Settings) -> Iterator[Finding]:
    for name in unknown_variables():
        yield Finding("warning", "settings", f"{name} is set and is no setting", f"unset {name}")


def _snapshots(settings: Settings) -> Iterator[Finding]:
    place = settings.snapshot_dir
    if "://" not in place and not _writable(Path(place)):
        yield Finding("wrong", "snapshots", f"{place} cannot be written", "set FRESHET_SNAPSHOT_DIR")
        return
    try:
        store = open_snapshots(place, keep=settings.snapshot_keep)
        versions = store.versions()
    except (OSError, RuntimeError, ValueError) as error:
        mend = "set FRESHET_SNAPSHOT_DIR and the credentials of its bucket"
        yield Finding("wrong", "snapshots", f"{place} cannot be read: {error}", mend)
        return
    if not versions:
        yield Finding("ok", "snapshots", f"none yet in {place}")
        return
    try:
        store.load(versions[-1])
        yield Finding("ok", "snapshots", f"{len(versions)} in {place}, newest {versions[-1]}")
    except SnapshotCorrupt as error:
        mend = "the one before is used; remove the broken one"
        yield Finding("warning", "snapshots", str(error), mend)


def _writable(folder: Path) -> bool:
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    return os.access(existing, os.W_OK)


# ---------------------------------------------------------------------- Redis


def _redis(settings: Settings) -> Iterator[Finding]:
    where = shown(settings, "redis_url")
    begun = time.monotonic()
    try:
        told = asyncio.run(report(build.redis_address(settings), settings.namespace))
    except StoreUnavailable as error:
        mend = "start it, or set FRESHET_REDIS_URL:  redis-server --appendonly yes"
        yield Finding("wrong", "Redis", f"{where} does not answer: {error}", mend)
        return
    took_ms = (time.monotonic() - begun) * 1_000.0
    yield Finding("ok", "Redis", f"{where}, version {told.version}, {took_ms:.0f} ms for four questions")
    yield from _redis_as_configured(told, settings)
    off_ms = told.time_ms - wall_ms()
    if abs(off_ms) > CLOCK_OFF_MS + took_ms:
        mend = "synchronise the clocks, with chrony or systemd-timesyncd"
        yield Finding("warning", "clock", f"Redis's clock differs by {off_ms} ms", mend)
    else:
        yield Finding("ok", "clock", f"within {CLOCK_OFF_MS} ms of Redis's")


def _redis_as_configured(told: StoreReport, settings: Settings) -> Iterator[Finding]:
    if told.policy == "noeviction":
        yield Finding("ok", "Redis", "evicts nothing")
    else:
        mend = "redis-cli config set maxmemory-policy noeviction"
        yield Finding("wrong", "Redis", f"may evict state (maxmemory-policy {told.policy})", mend)
    if not told.aof:
        mend = "redis-cli config set appendonly yes"
        yield Finding("warning", "Redis", "has no append-only file: a restart loses the state", mend)
    if told.limit and told.used > 0.8 * told.limit:
        detail = f"{told.used / told.limit:.0%} of maxmemory is used; when it is full, workers pause"
        yield Finding("warning", "Redis", detail, "raise maxmemory")
    if told.partitions is not None and told.partitions != settings.partitions:
        detail = (
            f"the namespace was built with {told.partitions} partitions, the setting is {settings.partitions}"
        )
        yield Finding("wrong", "partitions", detail, f"FRESHET_PARTITIONS={told.partitions}")


# ---------------------------------------------------------------------- Kafka


def _kafka(settings: Settings) -> Iterator[Finding]:
    if settings.embedded:
        yield from _embedded_kafka(settings)
        return
    security = client_args(settings)
    security.pop("bootstrap_servers")
    security.pop("bootstrap_timeout_ms", None)
    begun = time.monotonic()
    try:
        found = topics.describe(settings.kafka, settings.namespace, security=security, timeout_s=5.0)
    except topics.BrokerUnavailable as error:
        yield Finding("wrong", "Kafka", str(error), "start it, or set FRESHET_KAFKA=host:port")
        return
    took_ms = (time.monotonic() - begun) * 1_000.0
    yield Finding("ok", "Kafka", f"{settings.kafka}, {len(found)} of our topics, {took_ms:.0f} ms")
    replication = min(MAX_REPLICATION, max((f.replication for f in found.values()), default=1))
    told = topics.differences(
        settings.namespace, found, partitions=settings.partitions, replication=replication
    )
    yield from map(_of_difference, told)
    if found and replication < MAX_REPLICATION:
        detail = f"{replication} cop{'y' if replication == 1 else 'ies'} of each partition: a lost broker loses events"
        yield Finding("warning", "topics", detail, "in production: 3 brokers, then freshet topics create")
    if not told:
        yield Finding("ok", "topics", "as the contract asks")


def _embedded_kafka(settings: Settings) -> Iterator[Finding]:
    """The mock broker knows no topic settings: whether it answers is all there is to ask."""
    try:
        need_embedded(settings)
    except FreshetError as error:
        mend = "freshet demo starts one; for a real Kafka leave FRESHET_EMBEDDED unset"
        yield Finding("wrong", "Kafka", str(error), mend)
        return
    yield Finding("ok", "Kafka", f"{settings.kafka}, embedded: for a first run, never for data")


def _of_difference(difference: Difference) -> Finding:
    if difference.setting == "topic":
        return Finding("wrong", "topics", f"{difference.topic} is missing", "freshet topics create")
    if difference.setting == "partitions":
        mend = f"FRESHET_PARTITIONS={difference.found} before the first event, freshet rebuild after it"
        return Finding("wrong", "topics", str(difference), mend)
    if difference.setting == "replication":
        return Finding("warning", "topics", str(difference), "kafka-reassign-partitions.sh")
    wanted = difference.wanted.removeprefix("at least ")
    mend = f"kafka-configs.sh --alter --topic {difference.topic} --add-config {difference.setting}={wanted}"
    return Finding("warning", "topics", str(difference), mend)
