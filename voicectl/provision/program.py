"""Make the one file that switches releases on hosts. The same source always gives the same bytes."""

import os
from pathlib import Path
from typing import Final

from voicectl.core.zipprogram import zip_program
from voicectl.provision import hostside

PACKAGE: Final = "voicectl_release"
FILE_NAME: Final = "release.pyz"
_MAIN: Final = f"from {PACKAGE}.command import run\n\nrun()\n"


def write_program(path: Path) -> None:
    """Write the program, whole or not at all. Any Python from 3.11 runs it: `python3 -I release.pyz --help`."""
    sources = sorted(Path(hostside.__file__).parent.glob("*.py"))
    files = {f"{PACKAGE}/{source.name}": source.read_bytes() for source in sources if source.name != "__main__.py"}
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(zip_program({"__main__.py": _MAIN.encode(), **files}))
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
