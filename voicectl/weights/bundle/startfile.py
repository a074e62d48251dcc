"""Make the starter the one file that a bundle carries. The same source always gives the same bytes."""

import io
import zipfile
from pathlib import Path
from typing import Final

from voicectl.weights.bundle import starter

STARTER_NAME: Final = "voicectl.pyz"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644 << 16
_MAIN: Final = b"""import sys

if sys.version_info < (3, 11):
    sys.exit("error: this program needs Python 3.11 or newer")
from voicectl_starter import start

start()
"""


def starter_program() -> bytes:
    """Return the program: `./voicectl.pyz install --local`, or with `python3` before it."""
    file = io.BytesIO()
    file.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("__main__.py", _MAIN), ("voicectl_starter.py", Path(starter.__file__).read_bytes())):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr = _REGULAR_FILE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return file.getvalue()
