"""Tests of the tar layout: other programs read it, and one file has one header."""

import io
import tarfile

import pytest

from voicectl.core.errors import IntegrityError
from voicectl.weights.bundle.archive import BLOCK_BYTES, TRAILER, header, padding, size_in

NINE_GIB = 9 << 30


@pytest.mark.parametrize(
    ("path", "size_bytes", "mode"),
    [
        ("a", 1, "0644"),
        ("wheels/" + "w" * 80, 12_345, "0755"),
        ("blobs/sha256/ab/" + "a" * 64, NINE_GIB, "0644"),
    ],
)
def test_header_is_read_by_tar(path: str, size_bytes: int, mode: str) -> None:
    entry = tarfile.TarInfo.frombuf(header(path, size_bytes, mode), "ascii", "strict")
    assert (entry.name, entry.size, entry.mode) == (path, size_bytes, int(mode, 8))
    assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
    assert entry.isreg()


@pytest.mark.parametrize("path", ["a" * 101, "b" * 80 + "/" + "a" * 90, "wheels/" + "w" * 240])
def test_path_that_is_too_long_for_one_block_takes_three(path: str) -> None:
    block = header(path, 3)
    assert len(block) == 3 * BLOCK_BYTES
    blob = block + b"abc" + bytes(padding(3)) + TRAILER
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        assert archive.getnames() == [path]


def test_archive_of_these_blocks_is_a_tar() -> None:
    content = b"x" * 700
    blob = header("a/b", 700) + content + bytes(padding(700)) + TRAILER
    assert len(blob) == 3 * BLOCK_BYTES + len(TRAILER)
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        assert archive.getnames() == ["a/b"]
        member = archive.extractfile("a/b")
        assert member is not None
        assert member.read() == content


def test_size_is_read_from_exactly_the_expected_header() -> None:
    assert size_in(header("m", 77), path="m", limit_bytes=100, name="x") == 77


@pytest.mark.parametrize(
    "block",
    [
        header("n", 77),
        header("m", 101),
        header("m", 77, "0755"),
        header("m", NINE_GIB),
        bytes(512),
        b"\xff" * 512,
        header("m", 77)[:-1] + b"x",
        header("m", 77)[:124] + b"-0000000077\0" + header("m", 77)[136:],
    ],
)
def test_any_other_header_is_refused(block: bytes) -> None:
    with pytest.raises(IntegrityError, match="m is not where a bundle has it"):
        size_in(block, path="m", limit_bytes=100, name="x")
