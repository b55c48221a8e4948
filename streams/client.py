"""The producer SDK: tell freshet what users do and what there is to recommend, checked before it is sent.

    from streams.client import EventProducer

    with EventProducer("127.0.0.1:9092") as freshet:
        freshet.item("m1", title="Toy Story", tags=["animation", "comedy"])
        freshet.impression("alice", ["m1", "m2"], request_id="r-1")
        freshet.click("alice", "m2", request_id="r-1")

Records are keyed and partitioned as freshet expects it (murmur2), acknowledged by all replicas, and not repeated by a
retry. A record that freshet would refuse is refused here, with the field and the mend, where it can still be mended.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
from kafka import KafkaProducer

from streams import traces, validation
from streams.clock import wall_ms
from streams.settings import Settings
from streams.topics import BrokerUnavailable
from streams.validation import Rejected, Rules

if TYPE_CHECKING:
    from streams.tracing import Tracing

EMBEDDED_API = (0, 11)
"""What librdkafka's mock broker speaks; kafka-python cannot find it out by itself there."""


class EventRefused(ValueError):
    """freshet would refuse this record; ``field`` names what is wrong with it."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(f"{rejected.reason}: {rejected.detail}")
        self.reason, self.field = rejected.reason, rejected.field


def client_args(settings: Settings) -> dict[str, Any]:
    """kafka-python's arguments for a deployment: where, TLS, password, and the mock broker's version."""
    args: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.kafka.split(",")],
        "security_protocol": settings.kafka_security_protocol,
        "bootstrap_timeout_ms": 5_000,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        args |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    if settings.kafka_ssl_ca:
        args["ssl_cafile"] = settings.kafka_ssl_ca
    if settings.embedded:
        args["api_version"] = EMBEDDED_API
    return args


def need_embedded(settings: Settings) -> None:
    """With the embedded broker: is it there? A client whose version is given waits for ever for one that is not.

    Raises:
        BrokerUnavailable: nothing listens.
    """
    host, _, port = settings.kafka.split(",")[0].strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2.0).close()
    except (OSError, ValueError) as error:
        raise BrokerUnavailable(f"no embedded broker at {settings.kafka}: {error}") from error


class EventProducer:
    """Produces events, items and requests of one namespace.

    Args:
        bootstrap: ``host:port``, several with commas.
        namespace: the deployment's name.
        actions: the deployment's declared actions besides ``click``; None lets any name through.
        linger_ms: how long a record waits for others to share its batch.
        client: further arguments of kafka-python, security among them.
        on_error: told of each record the broker did not take, from another thread; None keeps the first for
            :meth:`flush` to raise.
        clock: ms; the time of an event that brings none.
        tracing: each record carries the context it was sent in, from which freshet's spans go on (docs/tracing.md);
            None sends none.
    """

    def __init__(
        self,
        bootstrap: str = "127.0.0.1:9092",
        namespace: str = "freshet",
        *,
        actions: Iterable[str] | None = None,
        linger_ms: int = 5,
        client: Mapping[str, Any] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        clock: Callable[[], int] = wall_ms,
        tracing: Tracing | None = None,
    ) -> None:
        self.namespace = namespace
        self._tracing = tracing
        self._rules = Rules(actions=frozenset(actions or ()) | {"click"})
        self._any_action = actions is None
        self._clock = clock
        self._first_error: Exception | None = None
        self._on_error = on_error or self._keep
        args = {"bootstrap_servers": bootstrap.split(","), "max_block_ms": 15_000, **(client or {})}
        self._producer = KafkaProducer(
            **args, acks="all", enable_idempotence=True, linger_ms=linger_ms, batch_size=65_536,
            max_request_size=2_097_152,
        )  # fmt: skip

    @classmethod
    def of(cls, settings: Settings, **more: Any) -> Self:
        """A producer for the deployment that settings describe."""
        if settings.embedded:
            need_embedded(settings)
        args = client_args(settings)
        more.setdefault("tracing", traces.wanted(settings, "freshet-producer"))
        servers = ",".join(args.pop("bootstrap_servers"))
        return cls(servers, settings.namespace, actions=settings.actions, client=args, **more)

    # ------------------------------------------------------------------ what users do

    def impression(
        self, user_id: str, items: Sequence[str | Mapping[str, Any]], *, ts: int | None = None, **more: Any
    ) -> str:
        """A user saw items: ids from the top down, or ``{item_id, position}``. Returns the event's id."""
        slots = [
            {"item_id": i, "position": k} if isinstance(i, str) else dict(i) for k, i in enumerate(items)
        ]
        return self._event("impression", user_id, ts, items=slots, **more)

    def click(self, user_id: str, item_id: str, *, ts: int | None = None, **more: Any) -> str:
        """A user clicked; give the ``request_id`` of the slate where there was one."""
        return self._event("click", user_id, ts, item_id=item_id, **more)

    def action(self, user_id: str, item_id: str, action: str, *, ts: int | None = None, **more: Any) -> str:
        """A user did something else to an item: one of the deployment's declared actions, ``value`` beside it."""
        return self._event("action", user_id, ts, item_id=item_id, action=action, **more)

    def profile(
        self, user_id: str, attributes: Mapping[str, Any], *, ts: int | None = None, **more: Any
    ) -> str:
        """What is known of a user beyond what the user did."""
        return self._event("profile", user_id, ts, attributes=dict(attributes), **more)

    def identify(self, user_id: str, anonymous_id: str, *, ts: int | None = None, **more: Any) -> str:
        """An anonymous session turned out to be this user."""
        return self._event("identify", user_id, ts, anonymous_id=anonymous_id, **more)

    def privacy(self, user_id: str, request: str, *, ts: int | None = None, **more: Any) -> str:
        """A user asks to be forgotten (``deletion``) or for a copy (``export``)."""
        return self._event("privacy", user_id, ts, request=request, **more)

    def event(self, event: Mapping[str, Any]) -> str:
        """A whole event as it stands on the wire. Returns its id.

        Raises:
            EventRefused: freshet would send it to the dead letters.
        """
        value = orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY)
        rules = self._rules
        if self._any_action and isinstance(event.get("action"), str):
            rules = Rules(actions=rules.actions | {event["action"]})
        checked = validation.event(value, self._clock(), rules)
        if isinstance(checked, Rejected):
            raise EventRefused(checked)
        self.raw("events", checked.user_id, value)
        return checked.event_id

    # ------------------------------------------------------------------ what there is, and what is wanted

    def item(self, item_id: str, **more: Any) -> None:
        """An item arrived or changed: ``title``, ``tags``, ``attributes``, ``provider``, ``embedding``, ..."""
        value = orjson.dumps({"v": 1, "ts": self._clock(), **more, "item_id": item_id})
        checked = validation.item(value, self._rules)
        if isinstance(checked, Rejected):
            raise EventRefused(checked)
        self.raw("catalog", item_id, value)

    def retire(self, item_id: str) -> None:
        """An item is gone: it is recommended no more."""
        self.raw("catalog", item_id, None)

    def request(self, user_id: str, *, request_id: str | None = None, **more: Any) -> str:
        """Ask for a slate on ``recommendations``; returns the request's id."""
        asked = request_id or uuid.uuid4().hex
        plain = {"v": 1, "ts": self._clock(), **more, "request_id": asked, "user_id": user_id}
        value = orjson.dumps(plain)
        checked = validation.request(value, self._rules)
        if isinstance(checked, Rejected):
            raise EventRefused(checked)
        self.raw("recommendation-requests", user_id, value)
        return asked

    def raw(self, topic: str, key: str, value: bytes | None) -> None:
        """Bytes as they are, unchecked, to a topic of the namespace."""
        name = f"{self.namespace}.{topic}"
        if self._tracing is None:
            sent = self._producer.send(name, key=key.encode(), value=value)
        else:
            with self._tracing.producing(name) as headers:
                sent = self._producer.send(name, key=key.encode(), value=value, headers=list(headers))
        sent.add_errback(self._on_error)

    # ------------------------------------------------------------------ life

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything sent is acknowledged; raises the first error where one was kept."""
        self._producer.flush(timeout=timeout_s)
        error, self._first_error = self._first_error, None
        if error is not None:
            raise error

    def close(self, timeout_s: float = 30.0) -> None:
        """Flush and disconnect."""
        try:
            self.flush(timeout_s)
        finally:
            self._producer.close(timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._producer.close(timeout=1.0)

    def _event(self, type_: str, user_id: str, ts: int | None, **more: Any) -> str:
        more = {k: v for k, v in more.items() if v is not None}
        event_id = more.pop("event_id", None) or uuid.uuid4().hex
        when = self._clock() if ts is None else ts
        return self.event(
            {"v": 1, "type": type_, "event_id": event_id, "user_id": user_id, "ts": when, **more}
        )

    def _keep(self, error: Exception) -> None:
        self._first_error = self._first_error or error
