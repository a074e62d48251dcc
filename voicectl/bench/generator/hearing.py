"""What a caller under load hears: takes messages apart, and turns whatever is no Realtime event into a failure."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from voicectl.bench.call_record import RATE_HZ, CallRecord, ServerEvent, WireError
from voicectl.bench.generator.failures import CallFailed, lost
from voicectl.bench.turns import audible_at
from voicectl.bench.waveform import AUDIBLE

_RECENT_PIECES: Final = 50
_BETA_EVENTS: Final = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""Events by their names of before GA, and what they are called since."""
_TOLD_OF_SERVER: Final = ("model", "voice")


class Hearing:
    """The agent's side of one call. `on_news` is called when something came that a waiting caller acts on.

    `audible` is when responses became audible, by their place among all; `speech_started` when the server said
    that it hears; `updated_at` when it accepted the session. With `beta`, names of before GA are understood.
    """

    def __init__(
        self, on_news: Callable[[], None], on_failure: Callable[[CallFailed], None], *, beta: bool = False
    ) -> None:
        self.record = CallRecord()
        self.audible: dict[int, float] = {}
        self.speech_started: list[float] = []
        self.updated_at: float | None = None
        self.server: dict[str, str] = {}
        self._known: set[str] = set()
        self._beta = beta
        self._on_news = on_news
        self._on_failure = on_failure

    def message(self, message: bytes, at: float) -> None:
        """Take in one message that arrived at `at`."""
        try:
            event = msgspec.json.decode(message)
            if not isinstance(event, dict):
                raise WireError(f"the server sent {_shown(message)}, which is no event")
            self._take(event, at)
        except WireError as error:
            self._on_failure(lost("malformed-event", error.message))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._on_failure(lost("malformed-event", f"the server sent {_shown(message)}, which is no JSON"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Fields of another type than the protocol's: an event like any other that is none.
            self._on_failure(lost("malformed-event", f"the server sent {_shown(message)}: {error}"))

    def _take(self, event: ServerEvent, at: float) -> None:
        kind = event.get("type")
        if not isinstance(kind, str):
            raise WireError("the server sent an event without a type")
        if self._beta:
            kind = _BETA_EVENTS.get(kind, kind)
            event = {**event, "type": kind}
        elif kind in _BETA_EVENTS:
            words = f"the server speaks the Realtime protocol of before GA ({kind}); call it with --beta"
            self._on_failure(lost("beta-protocol", words))
            return
        samples = self.record.note(event, at)
        if samples is not None:
            self._hear(str(event.get("response_id")), float(np.abs(samples).max(initial=0.0)))
            return
        match kind:
            case "session.created" | "session.updated":
                self._note_session(event.get("session"))
                if kind == "session.updated" and self.updated_at is None:
                    self.updated_at = at
            case "input_audio_buffer.speech_started":
                self.speech_started.append(at)
        self._on_news()

    def _hear(self, response_id: str, peak: float) -> None:
        """Note when a response became audible."""
        if peak <= AUDIBLE or response_id in self._known:
            return
        place, pieces = self.record.sounding(response_id, _RECENT_PIECES)
        first_at = audible_at(pieces, RATE_HZ)
        if first_at is not None:
            self._known.add(response_id)
            self.audible[place] = first_at
            self._on_news()

    def _note_session(self, session: Any) -> None:
        """Keep what a server says of itself, and of where it speaks."""
        if not isinstance(session, dict):
            return
        audio = session.get("audio")
        output = audio.get("output") if isinstance(audio, dict) else None
        told = {**(output if isinstance(output, dict) else {}), **session}
        self.server |= {key: str(told[key])[:200] for key in _TOLD_OF_SERVER if isinstance(told.get(key), str)}


def _shown(message: bytes) -> str:
    return repr(message[:60].decode("utf-8", "replace"))
