"""Files that are no speech: each is refused with its cause in one line, exit 2, before anything starts."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.integration


CommandLine = Callable[..., subprocess.CompletedProcess[str]]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicectl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def wav(seconds: float = 1.0, rate: int = 16_000, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(round(seconds * rate)), rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_header_only(path: Path) -> None:
    path.write_bytes(wav()[:20])


def write_without_samples(path: Path) -> None:
    path.write_bytes(wav(0.0))


def write_text(path: Path) -> None:
    path.write_text("These are words, but nobody speaks them.\n" * 50)


def write_image(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)


def write_huge(path: Path) -> None:
    with path.open("wb") as file:
        body = 200_000_000
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
        file.write(b"RIFF" + struct.pack("<I", 36 + body) + b"WAVE" + fmt + b"data" + struct.pack("<I", body))
        file.truncate(44 + body)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("command", [("transcribe",), ("talk", "--wav")], ids=["transcribe", "talk"])
@pytest.mark.parametrize(
    "write",
    [write_empty, write_header_only, write_without_samples, write_text, write_image, write_huge, make_folder],
    ids=lambda write: write.__name__,
)
def test_file_that_is_no_speech_is_refused(
    tmp_path: Path, command: tuple[str, ...], write: Callable[[Path], None], command_line: CommandLine
) -> None:
    path = tmp_path / "clip.wav"
    write(path)
    finished = command_line(*command, str(path))
    assert finished.returncode == 2, finished.stderr
    first, *rest = finished.stderr.splitlines()
    assert first.startswith(f"error: {path}: ")
    assert all(line.startswith("hint:  ") for line in rest)
    assert finished.stdout == ""


def test_missing_file_is_refused() -> None:
    finished = run("transcribe", "/nowhere/clip.wav")
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: /nowhere/clip.wav: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("say", "  "), "holds nothing to say"),
        (("say", "hello", "--out", "/nowhere/a.wav"), "the folder /nowhere does not exist"),
        (("say", "hello", "--out", "-", "--json"), "both want stdout"),
        (("talk", "--text", "…"), "holds nothing to say"),
        (("talk", "--text", "a", "--server", "ws://127.0.0.1:1", "--profile", "cpu"), "choose a private gateway"),
        (("talk", "--text", "a", "--out", "/"), "is a folder"),
    ],
)
def test_command_line_that_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], message: str, command_line: CommandLine
) -> None:
    finished = command_line(*arguments)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("command", ["talk", "serve", "say"])
def test_unknown_profile_key_stops_a_command_before_it_starts(
    tmp_path: Path, command: str, command_line: CommandLine
) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: mine\nlistening: true\n")
    words = ["hello"] if command == "say" else ["--text", "hello"] if command == "talk" else []
    finished = command_line(command, *words, "--profile", str(profile))
    assert finished.returncode == 3
    assert f"{profile}: listening: unknown key" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_host_without_microphone_or_audio_system_is_told_what_to_do() -> None:
    finished = run("talk")
    if finished.returncode == 0:
        pytest.skip("this host has a microphone and a loudspeaker")
    assert finished.returncode == 3
    assert finished.stderr.startswith("error: no ")
    assert "--wav" in finished.stderr
    assert "Traceback" not in finished.stderr
