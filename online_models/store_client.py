"""Which Redis, and how it is reached: one server, one watched by Sentinels, or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import hiredis
from redis import asyncio as aioredis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

Mode = Literal["standalone", "sentinel", "cluster"]


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the state is kept.

    ``url`` is ``redis://user:password@host:port/db`` (``rediss://`` for TLS, ``unix://`` for a socket); for Sentinels
    and a cluster it names several hosts, comma between them.
    """

    url: str
    mode: Mode = "standalone"
    master: str = "mymaster"  # what the Sentinels call it
    sentinel_password: str = ""
    ca: str = ""  # file of the certificate authority; empty is the system's

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """The hosts the URL names, with their ports.

        >>> RedisAddress("redis://:pw@a:26379,b/0", "sentinel").hosts
        [('a', 26379), ('b', 26379)]
        """
        usual = 26_379 if self.mode == "sentinel" else 6_379
        named = urlsplit(self.url).netloc.rpartition("@")[2].split(",")
        split = [name.strip().partition(":") for name in named]
        return [(host or "127.0.0.1", int(port or usual)) for host, _, port in split]

    def credentials(self) -> dict[str, Any]:
        """User, password, database and TLS as redis-py's arguments."""
        parts = urlsplit(self.url)
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        args: dict[str, Any] = {"username": unquote(user) or None, "password": unquote(password) or None}
        database = parts.path.strip("/")
        if database and self.mode != "cluster":  # a cluster has one
            args["db"] = int(database)
        return args | self._tls()

    def _tls(self) -> dict[str, Any]:
        if urlsplit(self.url).scheme != "rediss":
            return {}
        return {"ssl": True} | ({"ssl_ca_certs": self.ca} if self.ca else {})


class _Packed:
    """Packs commands in C, as redis-py's synchronous connection does; a large commit spends half its time there."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """The bytes to send; the first argument may be a command of two words."""
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]


class _Connection(_Packed, aioredis.Connection):
    """To one server."""


class _OfMaster(_Packed, SentinelManagedConnection):
    """To whichever server the Sentinels say is the master."""


def connect(address: RedisAddress, *, timeout_s: float, connections: int) -> Any:
    """A client of this Redis; connects when first asked.

    Raises:
        ValueError: the URL names no host, or a port that is none.
    """
    makers: dict[Mode, Callable[..., Any]] = {
        "standalone": _standalone, "sentinel": _sentinel, "cluster": _cluster,
    }  # fmt: skip
    # protocol=2: two open faults with 3 (redis-py #4283, #4260).
    common = {"protocol": 2, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return makers[address.mode](address, common, connections)


def everywhere(client: Any) -> dict[str, Any]:
    """The argument by which every master of a cluster is asked; none elsewhere."""
    return {"target_nodes": "primaries"} if isinstance(client, aioredis.RedisCluster) else {}


def _standalone(address: RedisAddress, common: dict[str, Any], connections: int) -> Any:
    more = {"ssl_ca_certs": address.ca} if address.ca and address.url.startswith("rediss") else {}
    pool = aioredis.BlockingConnectionPool.from_url(
        address.url,
        connection_class=_Connection,  # a URL of another scheme (rediss) brings its own
        retry=None,  # no retries in the client: it could add twice
        max_connections=connections,
        timeout=common["socket_timeout"],
        **common,
        **more,
    )
    return aioredis.Redis(connection_pool=pool)


def _sentinel(address: RedisAddress, common: dict[str, Any], connections: int) -> Any:
    asked = {**common, **address._tls()} | (
        {"password": address.sentinel_password} if address.sentinel_password else {}
    )
    args = {**common, **address.credentials(), "retry": None, "max_connections": connections}
    sentinel: Any = Sentinel(address.hosts, sentinel_kwargs=asked, **args)  # type: ignore[no-untyped-call]
    more: dict[str, Any] = {} if args.get("ssl") else {"connection_class": _OfMaster}
    return sentinel.master_for(address.master, connection_pool_class=SentinelConnectionPool, **more)


def _cluster(address: RedisAddress, common: dict[str, Any], connections: int) -> Any:
    nodes = [aioredis.cluster.ClusterNode(host, port) for host, port in address.hosts]
    # It follows moved slots by itself and may send a script again; each of ours tells a second time by its token.
    return aioredis.RedisCluster(
        startup_nodes=nodes, max_connections=connections, **common, **address.credentials()
    )
