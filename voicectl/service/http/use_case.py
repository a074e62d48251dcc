"""Read which use case a client's call is for, in the query of the URL. Knows no socket."""

import re
from typing import Final

from voicectl.core.sections.governance import USE_CASE_PATTERN
from voicectl.service.http.problem import invalid

PARAMETER: Final = "use_case"
_PATTERN: Final = re.compile(USE_CASE_PATTERN)


def use_case_of(named: str | None) -> str | None:
    """Return the use case that was named, if one was. Raises Problem for what cannot be one."""
    if named is not None and not _PATTERN.fullmatch(named):
        raise invalid(
            "invalid_value",
            "a use case begins with a small letter and has up to 64 small letters, digits, '_', '.' or '-', "
            f"not {named[:80]!r}",
            param=PARAMETER,
        )
    return named
