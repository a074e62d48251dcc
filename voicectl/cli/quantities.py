"""Read quantities as people write them on a command line: `180s`, `3m`, `1%`. Raises UsageError for others."""

import re
from typing import Final

from voicectl.core.errors import UsageError

_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str, option: str) -> float:
    """Return the seconds in `180s`, `3m`, `0.5h` or a bare number of seconds."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option} {text!r} is no time", hint=f"for example {option} 180s or {option} 3m")
    return float(match[1]) * _SECONDS[match[2]]


def share(text: str, option: str) -> float:
    """Return the part in `1%` or `0.01`, above 0 and below 1."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UsageError(f"{option} {text!r} is no share between 0 and 1", hint=f"for example {option} 1%")
    return value
