"""Read the URL of a checkpoint store. Connects to nothing."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from voicectl.core.errors import ConfigError

_HINT = "write sqlite:///absolute/path, redis://host:6379/0, rediss://host:6379/0 or unix:///path?db=0"


@dataclass(frozen=True, slots=True)
class SqliteLocation:
    """A file of this host."""

    path: Path


@dataclass(frozen=True, slots=True)
class RedisLocation:
    """A server: by `host` and `port`, or by the `path` of its socket. `shown` is for people."""

    shown: str
    host: str = ""
    port: int = 6379
    path: Path | None = None
    db: int = 0
    username: str | None = None
    tls: bool = False


def parse_location(url: str) -> SqliteLocation | RedisLocation:
    """Return where a URL leads. Raises ConfigError, which does not repeat credentials."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError("checkpoints.url cannot be read", hint=_HINT) from error
    match parts.scheme:
        case "sqlite":
            return SqliteLocation(_absolute(parts))
        case "unix":
            path = _absolute(parts)
            return RedisLocation(
                shown=f"unix://{path}", path=path, db=_db(parts, _query_db(parts)), username=_username(parts)
            )
        case "redis" | "rediss":
            if not parts.hostname:
                raise ConfigError("checkpoints.url names no host", hint=_HINT)
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            db = _db(parts, parts.path.strip("/"))
            return RedisLocation(
                shown=f"{parts.scheme}://{host}:{port or 6379}/{db}",
                host=parts.hostname,
                port=port or 6379,
                db=db,
                username=_username(parts),
                tls=parts.scheme == "rediss",
            )
        case scheme:
            raise ConfigError(f"checkpoints.url: the scheme {scheme!r} is not known", hint=_HINT)


def _absolute(parts: SplitResult) -> Path:
    """Return the path of a URL; a service has no current folder, so one or two leading slashes mean the same."""
    path = unquote(parts.path).lstrip("/")
    if not path or (parts.scheme == "sqlite" and (parts.netloc or parts.query)):
        raise ConfigError("checkpoints.url names no file", hint=_HINT)
    return Path("/") / path


def _query_db(parts: SplitResult) -> str:
    options = parse_qs(parts.query, keep_blank_values=True)
    if set(options) - {"db"}:
        raise ConfigError(f"checkpoints.url: unknown option {sorted(set(options) - {'db'})[0]!r}", hint=_HINT)
    return options.get("db", [""])[0]


def _db(parts: SplitResult, text: str) -> int:
    if parts.scheme != "unix" and parts.query:
        raise ConfigError("checkpoints.url: options are not supported", hint=_HINT)
    if text and not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"checkpoints.url: {text!r} is no database number", hint=_HINT)
    return int(text or 0)


def _username(parts: SplitResult) -> str | None:
    return unquote(parts.username) if parts.username else None
