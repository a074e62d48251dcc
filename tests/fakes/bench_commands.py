"""`voicectl bench` as a process of its own, and a workload that needs no voice."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np
import soundfile

from tests.fakes.null_server import RATE

SHORT = ("--concurrency", "2", "--duration", "3s", "--answer-timeout", "2s", "--warm-up", "0s")


async def started(
    *arguments: str, folder: Path, environment: dict[str, str] | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "voicectl", "bench", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80", **(environment or {})},
        # Programs that a shell starts in the background are deaf to Ctrl-C, and so would be their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def bench(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    process = await started(*arguments, folder=folder, environment=environment)
    out, err = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode or 0, out.decode(), err.decode()


def write_tones(folder: Path) -> str:
    """Write a workload of two short tones a call; return its path."""
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE // 4) / RATE)
    soundfile.write(folder / "tone.wav", tone, RATE)
    path = folder / "tones.yaml"
    path.write_text(
        "name: tones\n"
        "opening_ms: 200\npause_ms: 100\npause_spread_ms: 0\n"
        "conversations:\n  - name: two\n    turns: [{audio: tone.wav}, {audio: tone.wav}]\n"
    )
    return str(path)
