"""The files of a log are read from their ends as they were written."""

import random
from pathlib import Path

import pytest

from voicectl.governance.audit.segments import lines_backwards


@pytest.mark.parametrize("torn", [b"", b"unfinished", b"u" * 70_000])
def test_lines_come_backwards_whole_whatever_their_length(torn: bytes, tmp_path: Path) -> None:
    chance = random.Random(7)
    lines = [bytes([65 + number % 26]) * chance.choice([0, 1, 80, 30_000]) for number in range(40)]
    path = tmp_path / "audit-000001.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + torn)
    assert list(lines_backwards(path)) == lines[::-1]


def test_a_file_without_one_whole_line_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"unfinished")
    assert list(lines_backwards(tmp_path / "a")) == []
