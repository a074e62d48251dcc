"""Put a Python program into one file that runs by itself. The same sources always give the same bytes."""

import io
import zipfile
from collections.abc import Mapping
from typing import Final

_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644 << 16


def zip_program(files: Mapping[str, bytes], *, first_line: bytes = b"") -> bytes:
    """Return a zip archive of files by their paths, in their order; Python runs its `__main__.py`.

    `first_line`, for example `#!/usr/bin/env python3` with its line feed, makes it a command.
    """
    program = io.BytesIO()
    program.write(first_line)
    with zipfile.ZipFile(program, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr = _REGULAR_FILE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return program.getvalue()
