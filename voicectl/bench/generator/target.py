"""Which server a run calls, how, and what all calls of a run have in common. Knows no socket."""

import json
from dataclasses import dataclass
from typing import Any, Final

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.caller import realtime_url
from voicectl.bench.workload.ready import ReadyWorkload

CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A Realtime server: the appliance itself, or any other that speaks the GA protocol.

    `api_key` comes from the environment or a file, never from a command line. `transcription` names the model
    of `audio.input.transcription` where a server transcribes only on request (voicectl always does). `private`
    says that the server was started for this run alone, `server` what else is known of it. The calls of
    a run are probes: voicectl keeps them out of its customers' figures, other servers ignore the word.
    """

    url: str
    model: str = "voicectl"
    api_key: str | None = None
    timings: bool = True
    transcription: str | None = None
    private: bool = False
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    server: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Return the URL of the WebSocket. Raises GatewayUnreachable for what is no server's URL."""
        return realtime_url(self.url, model=self.model, timings=self.timings, probe=True)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the handshake."""
        return {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What all calls of a run have in common. `epoch_at` is the run's zero on the monotonic clock."""

    address: str
    headers: dict[str, str]
    workload: ReadyWorkload
    transcription: str | None
    answer_timeout_s: float
    connect_timeout_s: float
    epoch_at: float


def session_update(instructions: str | None, transcription: str | None) -> str:
    """Return the event that agrees on formats; `transcription` names a model where a server wants to be asked."""
    pcm = {"type": "audio/pcm", "rate": RATE_HZ}
    heard: dict[str, Any] = {"format": pcm}
    if transcription is not None:
        heard["transcription"] = {"model": transcription}
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"input": heard, "output": {"format": pcm}},
    }
    if instructions is not None:
        session["instructions"] = instructions
    return json.dumps({"type": "session.update", "session": session})
