"""Make the keeper that a profile asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from voicectl.core.checkpoint import ConversationState
from voicectl.core.errors import ConfigError
from voicectl.core.paths import store_path
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.service.checkpoints.keeper import CheckpointKeeper
from voicectl.service.checkpoints.location import RedisLocation, SqliteLocation, parse_location
from voicectl.service.checkpoints.sqlite_store import SqliteStore
from voicectl.service.checkpoints.store import CheckpointStore

DEFAULT_FILE: Final = "checkpoints/checkpoints.db"


def checkpoint_keeper(
    settings: Checkpoints, redact: Callable[[ConversationState], ConversationState] | None = None
) -> CheckpointKeeper | None:
    """Return the keeper, not yet open; None when the profile wants none. `redact` is what it writes through.

    Raises ConfigError for what no later moment can put right: the URL, or a file that does not exist. A
    store that is only down is reported by the keeper and tried again.
    """
    return CheckpointKeeper(checkpoint_store(settings), settings, redact=redact) if settings.enabled else None


def checkpoint_store(settings: Checkpoints) -> CheckpointStore:
    """Return the store of `settings.url`. Raises ConfigError."""
    location = parse_location(settings.url) if settings.url is not None else SqliteLocation(store_path() / DEFAULT_FILE)
    match location:
        case SqliteLocation(path):
            return SqliteStore(
                path,
                grace_s=settings.grace_s,
                max_entries=settings.max_entries,
                timeout_s=settings.timeout_s,
            )
        case RedisLocation():
            # Its client takes a tenth of a second to import, which a start without it need not wait for.
            from voicectl.service.checkpoints.redis_store import RedisStore

            return RedisStore(
                location,
                grace_s=settings.grace_s,
                timeout_s=settings.timeout_s,
                key_prefix=settings.key_prefix,
                password_file=_existing(settings.password_file, "password_file"),
                ca_file=_existing(settings.ca_file, "ca_file"),
            )


def _existing(name: str | None, key: str) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"checkpoints.{key}: there is no file {path}", hint="create it, or remove the key")
    return path
