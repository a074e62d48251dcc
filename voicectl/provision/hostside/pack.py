"""Make this program the one file that is placed on hosts. The same source always gives the same bytes."""

import os
import sys
import zipfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "voicectl_release"
FILE_NAME: Final = "release.pyz"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644 << 16
_MAIN: Final = f"from {PACKAGE}.command import run\n\nrun()\n"


def write_program(path: Path) -> None:
    """Write the program, whole or not at all. Any Python from 3.11 runs it: `python3 -I release.pyz --help`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "__main__.py", _MAIN.encode())
            for source in sorted(Path(__file__).parent.glob("*.py")):
                if source.name not in ("__main__.py", Path(__file__).name):
                    _add(archive, f"{PACKAGE}/{source.name}", source.read_bytes())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.external_attr = _REGULAR_FILE
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    write_program(Path(sys.argv[1]))
