"""Which server a run calls, how, and what all calls of a run have in common. Knows no socket."""

import json
import ssl
from dataclasses import dataclass
from typing import Any, Final

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.caller import realtime_url
from voicectl.bench.workload.ready import ReadyWorkload
from voicectl.core.errors import ConfigError

CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A Realtime server: the appliance itself, or any other.

    `model` is the query's, empty for a server that wants none. `api_key` comes from the environment or a file, never
    from a command line. `transcription` names the model of `audio.input.transcription` where a server transcribes
    only on request (voicectl always does). `timings` asks voicectl for its own instants. `beta` speaks the protocol
    of before GA. `ca_file` holds the authorities that a wss:// server is believed by, beside those of the system.
    `private` says that the server was started for this run alone, `server` what else is known of it. The calls of
    a run are probes: voicectl keeps them out of its customers' figures, other servers ignore the word.
    """

    url: str
    model: str = "voicectl"
    api_key: str | None = None
    timings: bool = True
    transcription: str | None = None
    beta: bool = False
    ca_file: str | None = None
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
        key = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        return key | ({"OpenAI-Beta": "realtime=v1"} if self.beta else {})

    def tls(self) -> ssl.SSLContext | None:
        """Return how a wss:// server is believed; None for ws://. Raises ConfigError for a file without authorities."""
        return tls_of(self.ca_file) if self.address.startswith("wss://") else None


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What all calls of a run have in common. `epoch_at` is the run's zero on the monotonic clock."""

    address: str
    headers: dict[str, str]
    workload: ReadyWorkload
    greeting: str
    beta: bool
    tls: ssl.SSLContext | None
    answer_timeout_s: float
    connect_timeout_s: float
    epoch_at: float


def tls_of(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that believes the system's authorities and those of a PEM file. Raises ConfigError."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            # An SSLError is one, and says of a file without certificates only where the parser stopped.
            reason = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
            raise ConfigError(f"{ca_file}: {reason}", hint="the authority's certificate, in PEM") from error
    return context


def session_update(instructions: str | None, transcription: str | None, *, beta: bool = False) -> str:
    """Return the event that agrees on formats; `transcription` names a model where a server wants to be asked."""
    model = None if transcription is None else {"model": transcription}
    session: dict[str, Any]
    if beta:
        session = {"modalities": ["audio", "text"], "input_audio_format": "pcm16", "output_audio_format": "pcm16"}
        session |= {} if model is None else {"input_audio_transcription": model}
    else:
        pcm = {"type": "audio/pcm", "rate": RATE_HZ}
        heard = {"format": pcm} | ({} if model is None else {"transcription": model})
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {"input": heard, "output": {"format": pcm}},
        }
    if instructions is not None:
        session["instructions"] = instructions
    return json.dumps({"type": "session.update", "session": session})
