"""Where call records are: reads the URL of a profile. Opens nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from voicectl.core.paths import store_path
from voicectl.core.sections.governance import Governance

DEFAULT_FILE: Final = "records/records.db"


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file of this host."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database of a PostgreSQL server. The URL holds no password."""

    url: str
    password_file: Path | None = None

    def __str__(self) -> str:
        return self.url


Location = SqliteFile | PostgresServer


def location_of(settings: Governance) -> Location:
    """Return where a profile keeps its call records."""
    if settings.url is None:
        return SqliteFile(store_path() / DEFAULT_FILE)
    parts = urlsplit(settings.url)
    if parts.scheme == "sqlite":
        # sqlite:////var/lib/x.db: the path of the URL begins with the slash that separates it.
        return SqliteFile(Path(parts.path[1:]))
    return PostgresServer(settings.url, None if settings.password_file is None else Path(settings.password_file))
