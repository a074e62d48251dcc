"""Who may do what: puts keys, scopes, quotas and origins together. Knows no socket and no route."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import ConfigError
from voicectl.core.profile import Profile
from voicectl.core.sections.access import Access, Scope
from voicectl.service.access.denial import Denial
from voicectl.service.access.keyfile import key_file
from voicectl.service.access.keyring import Keyring
from voicectl.service.access.keys import ApiKey
from voicectl.service.access.origins import is_loopback, listed, may_connect
from voicectl.service.access.quota import SESSION_RETRY_S, RateLimits, SessionQuotas

OPERATOR_SCOPE: Final[Scope] = "metrics"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the holder of a key, or anybody."""

    key: ApiKey | None = None

    @property
    def owner(self) -> str | None:
        """Return the id under which conversations belong to this client; None for anybody."""
        return None if self.key is None else self.key.id


ANYBODY: Final = Principal()


class AccessControl:
    """The rules of one gateway. `host` is the address it listens on."""

    def __init__(
        self,
        access: Access,
        host: str,
        *,
        clock: Clock | None = None,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the keys. Raises ConfigError, also when anybody on the network could use the gateway unasked."""
        self._access = access
        self._on_loopback = is_loopback(host)
        self._clock = clock or MonotonicClock()
        self._today = today
        self.keyring: Final = Keyring(key_file(access), access.reload_s) if access.check_keys else None
        self._rates = RateLimits()
        self._sessions = SessionQuotas()
        _refuse_exposure(access, host, num_keys=len(self.keyring or ()))

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Return the rules of a profile. Raises ConfigError."""
        return cls(profile.access, profile.server.host)

    @property
    def has_keys(self) -> bool:
        """Whether there are keys that clients could present."""
        return bool(self.keyring)

    @property
    def anonymous(self) -> bool:
        """Whether clients may come without a key now."""
        if self._access.anonymous is None:
            return self._on_loopback and not self.has_keys
        return self._access.anonymous

    def identify(self, presented: str | None) -> Principal:
        """Return who presents a key, or none. Raises Denial."""
        if self.keyring is None or (not self.has_keys and self.anonymous):
            # Without keys there are no wrong ones: stock clients insist on presenting something.
            return ANYBODY
        if presented:
            return Principal(self.keyring.find(presented, self._today()))
        if self.anonymous:
            return ANYBODY
        raise Denial.unauthorised(
            "missing_api_key", "no API key was presented: send it as `Authorization: Bearer KEY` or as `api-key: KEY`"
        )

    def require(self, principal: Principal, scope: Scope) -> None:
        """Raise Denial unless the client may do this."""
        key = principal.key
        if key is None:
            if scope == "admin":
                raise Denial.forbidden("insufficient_scope", "this needs an API key with the scope admin")
        elif not key.permits(scope):
            raise Denial.forbidden("insufficient_scope", f"the API key {key.id} has not the scope {scope}")

    def is_open(self, scope: Scope) -> bool:
        """Return whether everybody who reaches the gateway may do this, without being asked who it is."""
        return scope == OPERATOR_SCOPE and (self._on_loopback or self._access.open_metrics)

    def count(self, principal: Principal) -> None:
        """Count one request. Raises Denial when the client asked too often."""
        key = principal.key
        if key is None or key.requests_per_minute is None:
            return
        wait_s = self._rates.take(key.id, key.requests_per_minute, self._clock.now())
        if wait_s is not None:
            message = f"the API key {key.id} may send {key.requests_per_minute} requests a minute"
            raise Denial.too_often("rate_limit_exceeded", message, wait_s)

    @contextmanager
    def session_of(self, principal: Principal) -> Iterator[None]:
        """Hold one of the client's sessions. Raises Denial when it has its fill."""
        key = principal.key
        if key is None:
            yield
            return
        if not self._sessions.take(key.id, key.max_sessions):
            message = f"the API key {key.id} may hold {key.max_sessions} sessions at a time"
            raise Denial.too_often("session_quota_exceeded", message, SESSION_RETRY_S)
        try:
            yield
        finally:
            self._sessions.give_back(key.id)

    def check_origin(self, origin: str | None, host_header: str | None) -> None:
        """Raise Denial for a browser's page that may not use the gateway."""
        if origin is None:
            return
        if not may_connect(origin, host_header, self._access.origins, on_loopback=self._on_loopback):
            raise Denial.forbidden(
                "origin_not_allowed", f"pages of {origin[:200]} may not use this gateway: see access.origins"
            )

    def may_read(self, origin: str) -> bool:
        """Return whether a page of another origin may read answers."""
        return listed(origin, self._access.origins, on_loopback=self._on_loopback)

    def is_revoked(self, owner: str) -> bool:
        """Return whether the key of that id opens nothing any more."""
        return self.keyring is not None and not self.keyring.is_valid(owner, self._today())

    async def watch(self, after: Callable[[], None] = lambda: None) -> None:
        """Follow the file of keys until cancelled; `after` is called behind every change."""
        if self.keyring is not None:
            await self.keyring.watch(after)


def _refuse_exposure(access: Access, host: str, *, num_keys: int) -> None:
    if not access.check_keys and access.anonymous is not True:
        raise ConfigError(
            "access.check_keys is false, but access.anonymous is not true",
            hint="set access.anonymous to true to let everybody in, or look at keys again",
        )
    if access.anonymous is None and num_keys == 0 and not is_loopback(host):
        raise ConfigError(
            f"server.host is {host}: everybody there could use the gateway, and there are no API keys",
            hint="make one with `voicectl keys create --name NAME`, or let everybody in with "
            "--set access.anonymous=true",
        )
    if access.anonymous is False and num_keys == 0:
        raise ConfigError(
            "access.anonymous is false and there are no API keys: nobody could use the gateway",
            hint="make one with `voicectl keys create --name NAME`",
        )
