"""Make the starter the one file that a bundle carries. The same source always gives the same bytes."""

from pathlib import Path
from typing import Final

from voicectl.core.zipprogram import zip_program
from voicectl.weights.bundle import starter

STARTER_NAME: Final = "voicectl.pyz"
_MAIN: Final = b"""import sys

if sys.version_info < (3, 11):
    sys.exit("error: this program needs Python 3.11 or newer")
from voicectl_starter import start

start()
"""


def starter_program() -> bytes:
    """Return the program: `./voicectl.pyz install --local`, or with `python3` before it."""
    files = {"__main__.py": _MAIN, "voicectl_starter.py": Path(starter.__file__).read_bytes()}
    return zip_program(files, first_line=b"#!/usr/bin/env python3\n")
