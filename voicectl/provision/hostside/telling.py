"""Tell people how far a change has come, and what came of it. They may be gone, and it goes on without them."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any


def tell(line: str) -> None:
    """Write a line to stderr, if somebody is there."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def print_document(document: Mapping[str, Any]) -> None:
    """Write the result to stdout, if somebody is there."""
    try:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        # What is left in the buffer would spoil the exit code.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
