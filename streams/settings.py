"""Every setting, in one place: the only file that reads the environment.

Each is a variable ``FRESHET_<NAME>`` and can be given to any command as ``--set name=value``. They are checked as a
whole when they are read, so that a contradiction is told at the start and not in the middle of the night.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from online_models.errors import SettingsError
from online_models.objective_weights import ALIASES, CLICK, Weights

PREFIX = "FRESHET_"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class CanaryLimits(BaseModel):
    """How much worse than the live version a canary may be before it is taken back by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = Field(
        0.01, gt=0.0, le=0.5, description="share of needless rollbacks, of all guardrails together"
    )
    loss_share: float = Field(
        0.1, ge=0.0, le=10.0, description="log-loss, by that share of the live version's"
    )
    empty_limit: Share = Field(0.01, description="share of empty slates beyond the live version's")
    failed_limit: Share = Field(0.01, description="share of failed answers beyond the live version's")
    slow_share: float = Field(
        0.5, ge=0.0, le=100.0, description="median and p95 of answer times, by that share"
    )
    slow_ms: float = Field(2.0, ge=0.0, le=60_000.0, description="and so many ms more")


class SurfaceSettings(BaseModel):
    """How slates of one surface (home page, item page, ...) are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seen: Literal["acted", "fatigue", "none"] = Field("acted", description="which seen items are hidden")
    fatigue_k: int = Field(
        5, ge=1, description="with seen=fatigue: impressions without action that hide an item"
    )
    randomised_share: Share = Field(
        0.05, description="share of requests drawn at random, with exact propensities"
    )
    swap_share: Share = Field(0.01, description="share of requests with one random adjacent pair swapped")
    uniform_floor: Share = Field(0.10, description="share of a random draw that is uniform")
    policy: Literal["plackett_luce", "squarecb", "epsilon_greedy", "thompson", "linucb"] = Field(
        "plackett_luce", description="how randomised requests are drawn"
    )
    new_item_share: Share = Field(
        0.1, description="share of requests that give one slot to an item hardly anybody has seen"
    )
    temperature: float = Field(1.0, gt=0.0, le=100.0, description="of the softmax a random draw is made from")
    diversity: float = Field(0.15, ge=0.0, lt=1.0, description="weight of diversity against score (MMR)")
    per_tag_cap: int = Field(0, ge=0, description="most items of one tag in a slate; 0 is no cap")
    objectives: dict[Name, float] = Field(
        {"click": 1.0},
        description="what an action is worth in the order, by action; 0 only lets its head learn",
    )

    @field_validator("objectives")
    @classmethod
    def _weights(cls, objectives: dict[str, float]) -> dict[str, float]:
        Weights.parse(objectives)
        return objectives


class WindowSettings(BaseModel):
    """How long an action is waited for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ms: int = Field(
        ge=1_000, le=90 * 86_400_000, description="a slot without the action for so long is a negative"
    )
    after: Literal["impression", "click"] = Field(
        "impression", description="what opens the window: that the slot was seen, or that it was clicked"
    )


class Settings(BaseSettings):
    """All settings with meaning, range and default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", env_nested_delimiter="__", frozen=True
    )

    # where things are
    kafka: str = Field(
        "127.0.0.1:9092", description="Kafka's bootstrap servers, host:port, comma between them"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how Kafka is spoken to"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="with a SASL protocol: how the password is proven"
    )
    kafka_sasl_username: str = Field("", description="with a SASL protocol: the user")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="with a SASL protocol: the password")
    kafka_ssl_ca: str = Field(
        "", description="with a TLS protocol: file of the certificate authority; empty is the system's"
    )
    embedded: bool = Field(False, description="Kafka is librdkafka's mock broker: topics exist on first use")
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis, redis:// or rediss:// (TLS), user and password within; several hosts with commas",
    )
    redis_mode: Literal["standalone", "sentinel", "cluster"] = Field(
        "standalone", description="what redis_url names: a server, Sentinels, or nodes of a cluster"
    )
    redis_master: str = Field("mymaster", description="with sentinel: what the Sentinels call the master")
    redis_sentinel_password: SecretStr = Field(
        SecretStr(""), description="with sentinel: of the Sentinels themselves"
    )
    redis_ssl_ca: str = Field(
        "", description="with rediss://: file of the certificate authority; empty is the system's"
    )
    namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,48}$")] = Field(
        "freshet", description="prefix of all topics and keys; a tenant is a namespace"
    )
    partitions: int = Field(
        32, ge=1, le=4_096, description="of the events topic; fixed for the life of a namespace"
    )
    bridge_impressions_topic: str = Field(
        "", description="a foreign topic of impressions to copy into events"
    )
    bridge_clicks_topic: str = Field("", description="a foreign topic of clicks to copy into events")

    # HTTP, metrics, logs
    http_host: str = Field("127.0.0.1", description="address the API listens on")
    http_port: int = Field(8080, ge=0, le=65_535, description="port the API listens on")
    console: bool = Field(True, description="the live console at / of the API; it has no password of its own")
    metrics_host: str = Field("127.0.0.1", description="address a worker's metrics listen on")
    metrics_port: int = Field(0, ge=0, le=65_535, description="port of a worker's metrics; 0 is none")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, JSON elsewhere"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severity that is logged"
    )

    otlp_endpoint: str = Field(
        "",
        description="collector of traces (OTLP/HTTP), http://host:4318; OTEL_EXPORTER_OTLP_ENDPOINT does, too",
    )

    # events and labels
    actions: dict[Name, float] = Field(
        {
            "click": 1.0,
            "like": 2.0,
            "purchase": 5.0,
            "watch": 1.0,
            "skip": -0.5,
            "dislike": -1.0,
            "not_interested": -1.0,
        },
        description="declared actions and their strength; above 0 is positive",
    )
    attribution_window_ms: int = Field(
        60_000, ge=1_000, description="an impression without a click for so long is a negative"
    )
    attribution_windows: dict[Name, WindowSettings] = Field(
        default_factory=lambda given: _conversions(given.get("actions", {})),
        description="the same of further actions, each with ms and after (impression or click); "
        "as it comes, a purchase within 3 days of a click where purchase is an action",
    )
    pending_ttl_ms: int = Field(3_600_000, ge=1_000, description="how long a slate waits for late actions")
    pending_max: int = Field(20, ge=1, le=1_000, description="slates that wait, per user")
    allowed_lateness_ms: int = Field(5_000, ge=0, description="how far the watermark stays behind event time")
    max_skew_ms: int = Field(60_000, ge=0, description="how far an event may be ahead of the log")
    idle_timeout_ms: int = Field(
        2_000, ge=100, description="at the log's end, after so long the clock moves the watermark"
    )
    dedupe_ring: int = Field(16, ge=1, le=64, description="event ids of a user that are remembered")
    dedupe_ms: int = Field(600_000, ge=1_000, description="for how long they are")
    seen_max: int = Field(
        2_000, ge=0, le=60_000, description="items acted on that are remembered beyond the last 50"
    )
    events_per_user_day: int = Field(
        500, ge=1, le=60_000, description="events of a user and day that feed shared state"
    )
    half_life_ms: int = Field(86_400_000, ge=1_000, description="of decayed counters and of trending")
    negative_rate: float = Field(
        1.0, gt=0.0, le=1.0, description="share of negatives the click head learns from"
    )

    # serving
    surfaces: dict[Name, SurfaceSettings] = Field(
        {"default": SurfaceSettings()}, description="surfaces by name; the first is used for fresh slates"
    )
    operator_token: SecretStr = Field(
        SecretStr(""),
        description="who may change weights over HTTP (Authorization: Bearer ...); empty: nobody",
    )
    exploration: bool = Field(True, description="false: nothing is randomised, swapped or given to new items")
    experiments_file: str = Field(
        "", description="YAML that declares experiments, read again when it changes; empty is none"
    )
    model_approvals: int = Field(
        0, ge=0, le=10, description="of so many others a new version of the model needs before it may go live"
    )
    canary: CanaryLimits = Field(
        CanaryLimits(), description="how much worse a canary may be before it is taken back by itself"
    )
    results_interval_s: float = Field(
        2.0, ge=0.1, le=60.0, description="time between a worker's results of experiments"
    )
    recommend_n: int = Field(20, ge=1, le=500, description="items of a slate when the request does not say")
    candidates: int = Field(200, ge=10, le=5_000, description="items that are ranked for a slate")
    slate_cpu_share: float = Field(
        0.23, gt=0.0, le=1.0, description="share of one CPU for fresh slates, while events wait"
    )
    order_learning_share: Share = Field(
        0.3, description="share of one CPU for learning the order from slates nobody remembers; 1 is always"
    )
    slate_process: bool = Field(
        False,
        description="a busy worker's fresh slates are made by a process of their own: the models' memory twice",
    )
    slate_process_from: Share = Field(
        0.85, description="with it: how busy (share of one CPU) a worker hands slates over; 0 is always"
    )
    slate_wait_s: float = Field(
        0.25, gt=0.0, description="while events wait, a fresh slate that waited longer is skipped"
    )

    # running
    user_cache: int = Field(50_000, ge=1, description="users of one partition held in memory")
    mix_interval_ms: int = Field(250, ge=10, description="workers tell each other what they learnt so often")
    mix_interval_events: int = Field(
        100, ge=1, description="or after so many interactions, whichever is first"
    )
    fetch_max_wait_ms: int = Field(
        10,
        ge=1,
        le=5_000,
        description="how long the broker may hold an empty fetch that leaves a partition out",
    )
    session_timeout_ms: int = Field(10_000, ge=1_000, description="a silent worker is replaced after so long")
    instance_id: str = Field("", description="static group membership: a restart without a rebalance")
    watchdog_s: float = Field(15.0, gt=0.0, description="a worker without progress for so long ends itself")
    snapshot_dir: str = Field("snapshots", description="folder, or s3:// and the like, of learnt state")
    snapshot_keep: int = Field(5, ge=1, description="snapshots kept")
    snapshot_interval_s: float = Field(60.0, ge=1.0, description="time between snapshots")
    seed: int = Field(0, ge=0, description="of everything random")

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    @field_validator("surfaces")
    @classmethod
    def _some_surface(cls, surfaces: dict[str, SurfaceSettings]) -> dict[str, SurfaceSettings]:
        if not surfaces:
            raise ValueError('at least one surface is needed, as in {"default": {}}')
        return surfaces

    @model_validator(mode="after")
    def _as_a_whole(self) -> Settings:
        if self.pending_ttl_ms < self.attribution_window_ms:
            raise ValueError(
                "pending_ttl_ms must be at least attribution_window_ms, or no window could close"
            )
        self._check_windows()
        if self.kafka_security_protocol.startswith("SASL") and not self.kafka_sasl_username:
            raise ValueError(
                "kafka_sasl_username must be set with kafka_security_protocol " + self.kafka_security_protocol
            )
        if self.actions.get("click", 0.0) <= 0.0:
            raise ValueError("actions must hold click with a strength above 0")
        if self.recommend_n > self.candidates:
            raise ValueError("candidates must be at least recommend_n")
        self._check_objectives()
        return self

    def objective_actions(self) -> list[str]:
        """Actions beside the click that have a head: those waited for, and those that a surface's weights name."""
        named = {self._action(name) for surface in self.surfaces.values() for name in surface.objectives}
        waited = {name for name in self.attribution_windows if name in self.actions}
        return sorted((named | waited) - {CLICK})

    def _action(self, word: str) -> str:
        return word if word in self.actions else ALIASES.get(word, word)

    def _check_objectives(self) -> None:
        for name, surface in self.surfaces.items():
            try:
                Weights.parse(surface.objectives, self.actions)
            except ValueError as error:
                raise ValueError(f"surfaces: {name}: objectives: {error}") from error

    def _check_windows(self) -> None:
        for action, window in self.attribution_windows.items():
            if action == "click" or action not in self.actions:
                raise ValueError(f"attribution_windows: {action} must be among actions and not click")
            if window.after == "impression" and window.ms > self.pending_ttl_ms:
                raise ValueError(
                    f"attribution_windows: {action} outlasts pending_ttl_ms, so it can only be after a click"
                )


def _conversions(actions: Mapping[str, float]) -> dict[str, WindowSettings]:
    return {"purchase": WindowSettings(ms=3 * 86_400_000, after="click")} if "purchase" in actions else {}


def load(**given: Any) -> Settings:
    """Settings from the environment, with what is given going before it.

    Raises:
        SettingsError: naming each setting that does not hold, and why.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = [f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
        raise SettingsError("settings do not hold:\n  " + "\n  ".join(lines)) from error


def assignments(words: Iterable[str]) -> dict[str, Any]:
    """What ``--set name=value`` says, ready for :func:`load`; a value may be JSON, a name may reach within.

    Raises:
        SettingsError: a word has no ``=``, or names no setting.

    >>> assignments(["http-port=8081", "surfaces.home.seen=none", 'actions={"click": 1, "share": 3}'])
    {'http_port': '8081', 'surfaces': {'home': {'seen': 'none'}}, 'actions': {'click': 1, 'share': 3}}
    """
    given: dict[str, Any] = {}
    for word in words:
        path, equals, value = word.partition("=")
        if not equals:
            raise SettingsError(f"--set {word}: wanted name=value")
        first, *rest = path.strip().split(".")
        place, at = given, setting_name(first)
        for part in rest:
            place, at = place.setdefault(at, {}), part
        place[at] = _json_or_text(value)
    return given


def setting_name(name: str) -> str:
    """The setting a name means, written with ``-`` or ``_``, with or without the prefix.

    Raises:
        SettingsError: there is none; the text names the nearest.
    """
    plain = name.lower().replace("-", "_").removeprefix(PREFIX.lower())
    if plain not in Settings.model_fields:
        near = difflib.get_close_matches(plain, Settings.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; freshet settings lists them"
        raise SettingsError(f"there is no setting {name}{hint}")
    return plain


def standard_collector() -> str:
    """Where traces go by OpenTelemetry's own variables; empty when they name none."""
    standard = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return next(filter(None, (os.environ.get(name, "") for name in standard)), "")


_FOR_TESTS = ("FRESHET_TEST_", "FRESHET_REQUIRE_", "FRESHET_DATA")


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables that look like settings and are none: a misspelt one would be passed over in silence.

    >>> unknown_variables({"FRESHET_KAFKA": "a:1", "FRESHET_KAFKKA": "b:1", "PATH": ""})
    ['FRESHET_KAFKKA']
    """
    names = sorted(os.environ if environment is None else environment)
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    ours = [n for n in names if n.startswith(PREFIX) and not n.startswith(_FOR_TESTS)]
    return [n for n in ours if n not in known and n.split("__")[0] not in known]


def _json_or_text(value: str) -> Any:
    if value.startswith(("{", "[")):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise SettingsError(f"--set: {value} is not JSON: {error}") from error
    return value


def shown(settings: Settings, name: str) -> str:
    """A setting's value for people to read; secrets are masked.

    >>> shown(Settings(redis_url="redis://:hush@db:6379/0"), "redis_url")
    'redis://:***@db:6379/0'
    """
    value = getattr(settings, name)
    if name == "redis_url":
        return _masked(value.get_secret_value())
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    if isinstance(value, dict):
        return str({k: v.model_dump() if isinstance(v, BaseModel) else v for k, v in value.items()})
    return str(value)


def _masked(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def _variable(location: tuple[int | str, ...]) -> str:
    return (
        PREFIX + str(location[0]).upper() + "".join(f".{part}" for part in location[1:])
        if location
        else "settings"
    )


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings.

    >>> as_environment(Settings(http_port=8081))["FRESHET_HTTP_PORT"]
    '8081'
    """
    out = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, dict | BaseModel):
            value = orjson.dumps(value, default=BaseModel.model_dump).decode()
        out[PREFIX + name.upper()] = str(value)
    return out
