"""What the function that hands a caller to a person told of what became of it: read from its output. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from voicectl.governance.store import cells

TOLD: Final[Mapping[str, cells.Reader]] = {
    "transfer_result": cells.choice("succeeded", "failed", "abandoned"),
    "transfer_complete": cells.yes_or_no,
    "screen_pop_at": cells.instant,
    "human_answer_at": cells.instant,
    "dead_air_s": cells.number(0.0, 86_400.0),
}
"""Fields of the output, and the columns of the row they become."""
MAX_OUTPUT: Final = 65_536
"""Characters of an output that is read; a longer one tells nothing."""


def told(output: str) -> dict[str, Any]:
    """Return what an output says of its transfer, by column. What cannot be read is left out: it stays unknown."""
    if len(output) > MAX_OUTPUT:
        return {}
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        return {}
    return cells.readable(document, TOLD) if isinstance(document, dict) else {}
