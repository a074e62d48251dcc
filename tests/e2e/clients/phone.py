"""A telephone for the client programs of this folder: speaks recordings in real time, keeps what it hears.

Knows the standard library only: each client program runs in the virtual environment of its own SDK.
"""

import argparse
import asyncio
import json
import sys
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

RATE = 24_000
FRAME_BYTES = RATE // 50 * 2
SILENCE = bytes(FRAME_BYTES)
WEATHER = "It is sunny in Paris, 21 degrees."


@dataclass
class Report:
    """What a client program tells the test: one JSON document on stdout."""

    client: str
    heard: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    tool_arguments: list[str] = field(default_factory=list)
    audio_bytes: list[int] = field(default_factory=list)
    interruptions: int = 0
    errors: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Print the report."""
        sys.stdout.write(f"{json.dumps(asdict(self))}\n")


def arguments() -> argparse.Namespace:
    """Read the command line: the gateway's URL, a key, and the recordings to say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True, help="http://host:port of the gateway")
    parser.add_argument("--key", default="unused")
    parser.add_argument("clips", nargs="+", type=Path)
    return parser.parse_args()


class Microphone:
    """20 ms frames of 24 kHz PCM on absolute deadlines: what is to be said, and silence otherwise."""

    def __init__(self) -> None:
        self._to_say: list[bytes] = []

    def say(self, clip: Path) -> None:
        """Queue a recording: a WAV file of 24 kHz, mono, 16 bit."""
        with wave.open(str(clip)) as recording:
            assert recording.getframerate() == RATE, clip
            pcm = recording.readframes(recording.getnframes())
        self._to_say += [
            pcm[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for start in range(0, len(pcm), FRAME_BYTES)
        ]

    def speaking(self) -> bool:
        """Tell whether something is still to be said."""
        return bool(self._to_say)

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield frames for ever."""
        loop = asyncio.get_running_loop()
        due_at = loop.time()
        while True:
            yield self._to_say.pop(0) if self._to_say else SILENCE
            due_at += 0.02
            await asyncio.sleep(max(0.0, due_at - loop.time()))


async def until(holds: Callable[[], bool], what: str, within_s: float = 40.0) -> None:
    """Wait until something holds; say what did not."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"not within {within_s:.0f} s: {what}") from None
