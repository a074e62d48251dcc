"""Which server a run calls, and how. Knows no socket."""

from dataclasses import dataclass
from typing import Final

from voicectl.bench.caller import realtime_url

CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A Realtime server: the appliance itself, or any other that speaks the GA protocol.

    `api_key` comes from the environment or a file, never from a command line. `transcription` names the model
    of `audio.input.transcription` where a server transcribes only on request (voicectl always does). `private`
    says that the server was started for this run alone, `server` what else is known of it.
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
        return realtime_url(self.url, model=self.model, timings=self.timings)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the handshake."""
        return {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
