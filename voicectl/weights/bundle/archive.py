"""The bytes of a bundle around its files: one tar layout and no other, so that every header is foretold."""

import tarfile
from typing import Final

from voicectl.core.errors import IntegrityError

BLOCK_BYTES: Final = tarfile.BLOCKSIZE
TRAILER: Final = bytes(2 * BLOCK_BYTES)
"""What ends a tar. Nothing may follow."""
_LARGEST_OCTAL: Final = 0o77777777777
_SIZE_AT: Final = slice(124, 136)


def header(path: str, size_bytes: int, mode: str = "0644") -> bytes:
    """Return the one header of a file: no owner, no time, nothing that differs between two builds.

    It is one block, or three where the path is too long for one.
    """
    entry = tarfile.TarInfo(path)
    entry.size = size_bytes
    entry.mode = int(mode, 8)
    if size_bytes <= _LARGEST_OCTAL and len(path) <= tarfile.LENGTH_NAME:
        return entry.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    # Only GNU's form can say more; every tar reads both.
    return entry.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def padding(size_bytes: int) -> int:
    """Return how many zero bytes follow a file of that size."""
    return -size_bytes % BLOCK_BYTES


def size_in(block: bytes, *, path: str, limit_bytes: int, name: str) -> int:
    """Return the size that the header of `path` tells; `name` is the bundle that errors name.

    Raises IntegrityError unless `block` is exactly the header of that path with a size of 1 to `limit_bytes`.
    """
    digits = block[_SIZE_AT].rstrip(b"\0 ")
    size_bytes = int(digits, 8) if digits and not digits.strip(b"01234567") else 0
    if not 0 < size_bytes <= limit_bytes or block != header(path, size_bytes):
        raise IntegrityError(
            f"{name}: {path} is not where a bundle has it",
            hint="the file is damaged or no bundle; copy it again from its source",
        )
    return size_bytes
