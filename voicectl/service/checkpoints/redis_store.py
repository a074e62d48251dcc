"""Keeps conversations in Redis or Valkey, so that any gateway can take them up."""

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from voicectl.service.checkpoints.location import RedisLocation
from voicectl.service.checkpoints.store import Entry
from voicectl.service.database import StorageUnavailable

log = structlog.get_logger(__name__)

MAX_CONNECTIONS: Final = 8
MAX_PASSWORD_BYTES: Final = 4096
# The server decides which of two writes is the newer: gateways may write at the same time. Beyond the grace
# the difference can only be a clock that was set, and the later write counts.
_WRITE: Final = """
local kept = tonumber(redis.call('HGET', KEYS[1], 'saved_at') or '')
local given, grace_ms = tonumber(ARGV[1]), tonumber(ARGV[3])
if kept and given < kept and given >= kept - grace_ms / 1000 then return 0 end
redis.call('HSET', KEYS[1], 'saved_at', ARGV[1], 'encoded', ARGV[2])
redis.call('PEXPIRE', KEYS[1], grace_ms)
return 1
"""


class _PasswordFile(CredentialProvider):
    """Reads the password at every connection, so that it can be changed without a restart."""

    def __init__(self, username: str | None, path: Path) -> None:
        self._username = username
        self._path = path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what Redis is told. Raises OSError."""
        with self._path.open("rb") as file:
            password = file.read(MAX_PASSWORD_BYTES).decode("utf-8", "replace").strip("\r\n")
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return what Redis is told, read on another thread. Raises OSError."""
        return await asyncio.to_thread(self.get_credentials)


class RedisStore:
    """One hash a session, under `key_prefix`, that the server removes when the grace is over."""

    def __init__(
        self,
        location: RedisLocation,
        *,
        grace_s: float,
        timeout_s: float,
        key_prefix: str,
        password_file: Path | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._location = location
        self._grace_ms = max(1, round(grace_s * 1000))
        self._timeout_s = timeout_s
        self._key_prefix = key_prefix
        self._pool = BlockingConnectionPool(
            max_connections=MAX_CONNECTIONS,
            timeout=timeout_s,
            **_connection_options(location, timeout_s, password_file, ca_file),
        )
        self._redis: Redis = Redis.from_pool(self._pool)

    @property
    def place(self) -> str:
        """The server's address."""
        return self._location.shown

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep the entries in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for entry in entries:
            key = self._key(entry.session_id)
            pipeline.eval(_WRITE, 1, key, repr(entry.saved_at), entry.encoded, self._grace_ms)
        await self._bounded(pipeline.execute())

    async def read(self, session_id: str) -> bytes | None:
        """Return what is kept of a session."""
        encoded = await self._bounded(self._redis.hget(self._key(session_id), "encoded"))
        return bytes(encoded) if encoded is not None else None

    async def purge(self) -> None:
        """Only ask whether the server is there: it removes what is over by itself."""
        await self._bounded(self._redis.ping())

    async def close(self) -> None:
        """Close all connections."""
        try:
            await self._bounded(self._redis.aclose())
            await self._bounded(self._pool.disconnect())
        except StorageUnavailable as error:
            log.info("redis_close_failed", error=error.message)

    def _key(self, session_id: str) -> str:
        return f"{self._key_prefix}{session_id}"

    async def _bounded(self, answer: Awaitable[Any]) -> Any:
        """Bound the wait, and turn what can go wrong into StorageUnavailable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError as error:
            raise StorageUnavailable(self.place, f"no answer within {self._timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            raise StorageUnavailable(self.place, f"{type(error).__name__}: {error}") from error


def _connection_options(
    location: RedisLocation, timeout_s: float, password_file: Path | None, ca_file: Path | None
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "db": location.db,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # Once, at once: a pooled connection may be one to a server that was restarted. The keeper does the rest.
        "retry": Retry(NoBackoff(), 1),
        "client_name": "voicectl",
    }
    if password_file is not None:
        options["credential_provider"] = _PasswordFile(location.username, password_file)
    elif location.username is not None:
        options["username"] = location.username
    if location.path is not None:
        return options | {"connection_class": UnixDomainSocketConnection, "path": str(location.path)}
    options |= {"host": location.host, "port": location.port}
    if not location.tls:
        return options | {"connection_class": Connection}
    authorities = {"ssl_ca_certs": str(ca_file)} if ca_file is not None else {}
    return options | {"connection_class": SSLConnection, "ssl_check_hostname": True} | authorities
