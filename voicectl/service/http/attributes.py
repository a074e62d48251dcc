"""Read what a client says about its call in the query of the URL. Knows no socket."""

import re
from collections.abc import Iterable
from typing import Final

from voicectl.service.http.problem import invalid

PREFIX: Final = "voicectl_attribute."
MAX_ATTRIBUTES: Final = 16
MAX_VALUE_CHARACTERS: Final = 512
_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def attributes_of(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return `voicectl_attribute.<name>=value` pairs as a mapping; of one name the last counts. Raises Problem."""
    attributes: dict[str, str] = {}
    for parameter, value in query:
        if not parameter.startswith(PREFIX):
            continue
        name = parameter.removeprefix(PREFIX)
        if not _NAME.fullmatch(name):
            raise invalid(
                "invalid_value",
                f"an attribute's name has 1 to 64 letters, digits, '_', '.' or '-', not {name[:80]!r}",
                param=f"{PREFIX}{name[:80]}",
            )
        if len(value) > MAX_VALUE_CHARACTERS:
            raise invalid(
                "invalid_value",
                f"an attribute has at most {MAX_VALUE_CHARACTERS} characters, not {len(value)}",
                param=parameter,
            )
        attributes[name] = value
        if len(attributes) > MAX_ATTRIBUTES:
            raise invalid("invalid_value", f"a call has at most {MAX_ATTRIBUTES} attributes", param=parameter)
    return attributes
