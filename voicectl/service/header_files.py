"""Headers whose values are secrets in files of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError

MAX_SECRET_BYTES: Final = 16_384


def read_headers(plain: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an endpoint, secrets read from their files. Raises ConfigError."""
    headers = dict(plain)
    for name, path in files.items():
        try:
            with Path(path).open("rb") as file:
                value = file.read(MAX_SECRET_BYTES + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not ASCII"
            raise ConfigError(f"{path}, the value of the header {name}: {reason}", hint="check header_files") from error
        if not value or not value.isprintable() or len(value) > MAX_SECRET_BYTES:
            raise ConfigError(f"{path}, the value of the header {name}: is not one line of text")
        headers[name] = value
    return headers
