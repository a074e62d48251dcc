"""A conversation by microphone and loudspeaker, through sounddevice."""

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voicectl.bench.call_record import RATE_HZ, ServerEvent
from voicectl.bench.caller import Caller
from voicectl.bench.outgoing import FRAME_SAMPLES
from voicectl.bench.turns import TurnReport
from voicectl.cli.audio_out import sound_devices
from voicectl.core.audio import Samples
from voicectl.core.errors import AudioDeviceError

HINT: Final = "speak from a file instead: voicectl talk --wav question.wav --out conversation.wav"
_QUEUED_FRAMES: Final = 100
"""Two seconds: if the network stalls for longer, the newest sound is dropped."""


class Loudspeaker:
    """Sound waiting to be played; the device's thread takes it away."""

    def __init__(self) -> None:
        self._waiting: deque[Samples] = deque()

    def add(self, samples: Samples) -> None:
        """Play `samples` behind what is waiting."""
        self._waiting.append(samples)

    def event(self, event: ServerEvent) -> None:
        """Fall silent when the agent was interrupted."""
        if event.get("type") == "response.done" and event["response"].get("status") == "cancelled":
            self._waiting.clear()

    def fill(self, block: NDArray[np.float32]) -> None:
        """Write the next sound into `block`, shape (n,), and silence behind it."""
        filled = 0
        while filled < block.size:
            try:
                piece = self._waiting.popleft()
            except IndexError:
                break
            taken = piece[: block.size - filled]
            block[filled : filled + taken.size] = taken
            filled += taken.size
            if taken.size < piece.size:
                self._waiting.appendleft(piece[taken.size :])
        block[filled:] = 0


def check_devices() -> None:
    """Refuse to start where nobody could speak or hear. Raises AudioDeviceError."""
    devices: Any = sound_devices(HINT)
    for kind, name in (("input", "microphone"), ("output", "loudspeaker")):
        try:
            devices.query_devices(kind=kind)
        except (devices.PortAudioError, ValueError) as error:
            raise AudioDeviceError(f"no {name}: {error}", hint=HINT) from error


async def converse(
    caller: Caller, loudspeaker: Loudspeaker, on_level: Callable[[Samples], None]
) -> AsyncIterator[TurnReport]:
    """Talk until Ctrl-C; yield each turn when it is over. Raises AudioDeviceError."""
    devices: Any = sound_devices(HINT)
    loop = asyncio.get_running_loop()
    spoken: asyncio.Queue[Samples] = asyncio.Queue(maxsize=_QUEUED_FRAMES)

    def take(samples: Samples) -> None:
        on_level(samples)
        with contextlib.suppress(asyncio.QueueFull):
            spoken.put_nowait(samples)

    def recorded(block: NDArray[np.float32], _frames: int, _time: object, _status: object) -> None:
        loop.call_soon_threadsafe(take, block[:, 0].copy())

    def wanted(block: NDArray[np.float32], _frames: int, _time: object, _status: object) -> None:
        loudspeaker.fill(block[:, 0])

    settings = {"samplerate": RATE_HZ, "channels": 1, "dtype": "float32", "blocksize": FRAME_SAMPLES}
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    try:
        with devices.InputStream(callback=recorded, **settings), devices.OutputStream(callback=wanted, **settings):
            async for report in caller.listen(spoken, stopped):
                yield report
    except devices.PortAudioError as error:
        raise AudioDeviceError(f"the sound device failed: {error}", hint=HINT) from error
    finally:
        loop.remove_signal_handler(signal.SIGINT)
