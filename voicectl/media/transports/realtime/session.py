"""One session's settings as the wire shows them, and what an update of them means for the call."""

from dataclasses import dataclass, replace
from typing import Any, Final

from voicectl.core.events import Modality, SessionSettings, Tool
from voicectl.media.transports.realtime.audio_format import FORMATS, PCM, AudioFormat
from voicectl.media.transports.realtime.client_events import (
    AudioInput,
    AudioOutput,
    Format,
    SemanticVad,
    ServerVad,
    SessionUpdate,
    Transcription,
)
from voicectl.media.transports.realtime.client_tools import ANY_CHOICE, Choice, parse_choice, parse_tools, wire_tool
from voicectl.media.transports.realtime.errors import INVALID_VALUE, UNSUPPORTED, ClientEventError

EAGERNESS_FACTORS: Final = {"high": 0.7, "medium": 1.0, "auto": 1.0, "low": 2.0}
"""How eagerness stretches the pauses after which a turn is taken as ended."""


@dataclass(frozen=True, slots=True)
class SessionDefaults:
    """What a session is before its client changes anything; the composition root fills it from the profile."""

    instructions: str = ""
    voice: str = "default"
    transcription_model: str = "default"
    language: str = "en"
    hotwords: str = ""
    speed: float = 1.0
    max_output_tokens: int = 4096
    vad_threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_ms: int = 800
    interrupt_response: bool = True


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the session finds the end of a turn.

    `semantic` says which of the wire's two kinds the client asked for: by what was said and how, with
    some `eagerness`, or by a pause of `silence_ms` alone.
    """

    semantic: bool
    threshold: float
    silence_ms: int
    eagerness: str = "auto"
    create_response: bool = True
    interrupt_response: bool = True


@dataclass(frozen=True, slots=True)
class RealtimeSession:
    """The settings of one session. `max_output_tokens` None is the wire's "inf"."""

    session_id: str
    model: str
    defaults: SessionDefaults
    instructions: str
    speed: float
    turn_detection: TurnDetection | None
    modality: Modality = "audio"
    input_format: AudioFormat = PCM
    output_format: AudioFormat = PCM
    transcription: dict[str, Any] | None = None
    max_output_tokens: int | None = None
    tools: tuple[Tool, ...] = ()
    choice: Choice = ANY_CHOICE

    def as_ga(self) -> dict[str, Any]:
        """Return the effective GA session; wishes that are not honoured show what is done instead."""
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.session_id,
            "model": self.model,
            "instructions": self.instructions,
            "output_modalities": [self.modality],
            "audio": {
                "input": {
                    "format": self.input_format.as_ga(),
                    "noise_reduction": None,
                    "transcription": self.transcription,
                    "turn_detection": self._turn_detection(),
                },
                "output": {
                    "format": self.output_format.as_ga(),
                    "speed": self.speed,
                    "voice": self.defaults.voice,
                },
            },
            "max_output_tokens": self.max_output_tokens or "inf",
            "tools": [wire_tool(tool) for tool in self.tools],
            "tool_choice": self.choice.as_ga(),
            "truncation": "auto",
            "tracing": None,
            "include": None,
        }

    def _turn_detection(self) -> dict[str, Any] | None:
        detection = self.turn_detection
        if detection is None:
            return None
        responses = {
            "create_response": detection.create_response,
            "interrupt_response": detection.interrupt_response,
        }
        if detection.semantic:
            return {"type": "semantic_vad", "eagerness": detection.eagerness, **responses}
        return {
            "type": "server_vad",
            "threshold": detection.threshold,
            "prefix_padding_ms": self.defaults.prefix_padding_ms,
            "silence_duration_ms": detection.silence_ms,
            "idle_timeout_ms": None,
            **responses,
        }


def new_session(session_id: str, model: str, defaults: SessionDefaults) -> RealtimeSession:
    """Return the session a client finds when it connects."""
    return RealtimeSession(
        session_id=session_id,
        model=model,
        defaults=defaults,
        instructions=defaults.instructions,
        speed=defaults.speed,
        turn_detection=_detection_of(SemanticVad(type="semantic_vad"), defaults),
        transcription=_transcription_of(Transcription(), defaults),
    )


def resumed_session(session: RealtimeSession, settings: SessionSettings) -> RealtimeSession:
    """Return a new session with the settings of the call that it goes on with."""
    defaults = session.defaults
    transcription = session.transcription if settings.transcription_enabled is not False else None
    if transcription is not None and settings.hotwords and settings.hotwords != defaults.hotwords:
        transcription = {**transcription, "prompt": settings.hotwords}
    limit = settings.max_output_tokens
    return replace(
        session,
        instructions=defaults.instructions if settings.instructions is None else settings.instructions,
        speed=settings.speed or defaults.speed,
        turn_detection=_resumed_detection(settings, defaults),
        modality=settings.output_modality or session.modality,
        transcription=transcription,
        max_output_tokens=None if limit == defaults.max_output_tokens else limit,
        tools=settings.tools or (),
        choice=Choice(settings.tool_choice or "auto", settings.forced_tool or ""),
    )


def _resumed_detection(settings: SessionSettings, defaults: SessionDefaults) -> TurnDetection | None:
    if settings.endpointing == "off":
        return None
    eagerness = {factor: name for name, factor in EAGERNESS_FACTORS.items() if name != "medium"}
    return TurnDetection(
        semantic=settings.endpointing != "silence",
        threshold=defaults.vad_threshold if settings.vad_threshold is None else settings.vad_threshold,
        silence_ms=defaults.silence_ms if settings.silence_ms is None else settings.silence_ms,
        eagerness=eagerness.get(settings.patience or 1.0, "auto"),
        create_response=settings.create_response is not False,
        interrupt_response=settings.interrupt_response is not False,
    )


def updated_session(session: RealtimeSession, update: SessionUpdate) -> tuple[RealtimeSession, SessionSettings]:
    """Return the session after an update, and what changes for the call. Raises ClientEventError, changing nothing."""
    _refuse_unsupported(update)
    given = update.model_fields_set
    changed: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    if update.instructions is not None:
        changed["instructions"] = settings["instructions"] = update.instructions
    if update.output_modalities is not None:
        changed["modality"] = settings["output_modality"] = update.output_modalities[0]
    if "max_output_tokens" in given:
        limit = update.max_output_tokens if isinstance(update.max_output_tokens, int) else None
        changed["max_output_tokens"] = limit
        settings["max_output_tokens"] = limit or session.defaults.max_output_tokens
    _change_tools(update, changed, settings)
    if update.audio is not None and update.audio.input is not None:
        _change_input(session, update.audio.input, changed, settings)
    if update.audio is not None and update.audio.output is not None:
        _change_output(update.audio.output, changed, settings)
    return replace(session, **changed), SessionSettings(**settings)


def _change_tools(update: SessionUpdate, changed: dict[str, Any], settings: dict[str, Any]) -> None:
    if update.tools is not None:
        changed["tools"] = settings["tools"] = parse_tools(update.tools, "session.tools")
    if update.tool_choice is not None:
        choice = changed["choice"] = parse_choice(update.tool_choice, "session.tool_choice")
        settings["tool_choice"] = choice.tool_choice
        settings["forced_tool"] = choice.forced_tool


def _change_input(
    session: RealtimeSession, audio: AudioInput, changed: dict[str, Any], settings: dict[str, Any]
) -> None:
    given = audio.model_fields_set
    if audio.format is not None:
        changed["input_format"] = format_of(audio.format, "session.audio.input.format")
    if "transcription" in given:
        changed["transcription"] = _transcription_of(audio.transcription, session.defaults)
        settings["transcription_enabled"] = audio.transcription is not None
        settings["hotwords"] = _hotwords_of(audio.transcription, session.defaults)
    if "turn_detection" in given:
        detection = _detection_of(audio.turn_detection, session.defaults)
        changed["turn_detection"] = detection
        settings["endpointing"] = "off" if detection is None else "semantic" if detection.semantic else "silence"
        if detection is not None:
            settings["silence_ms"] = detection.silence_ms
            settings["patience"] = EAGERNESS_FACTORS[detection.eagerness]
            settings["vad_threshold"] = detection.threshold
            settings["create_response"] = detection.create_response
            settings["interrupt_response"] = detection.interrupt_response


def _change_output(audio: AudioOutput, changed: dict[str, Any], settings: dict[str, Any]) -> None:
    if audio.format is not None:
        changed["output_format"] = format_of(audio.format, "session.audio.output.format")
    if audio.speed is not None:
        changed["speed"] = settings["speed"] = audio.speed


def format_of(wanted: Format, param: str) -> AudioFormat:
    """Return the wire format of its description. Raises ClientEventError on a rate that it does not have."""
    fmt = FORMATS[wanted.type]
    if wanted.rate is not None and wanted.rate != fmt.sample_rate:
        raise ClientEventError(
            INVALID_VALUE, f"{wanted.type} runs at {fmt.sample_rate} Hz, not {wanted.rate}", param=f"{param}.rate"
        )
    return fmt


def _detection_of(wanted: ServerVad | SemanticVad | None, defaults: SessionDefaults) -> TurnDetection | None:
    if wanted is None:
        return None
    create = wanted.create_response is not False
    interrupt = defaults.interrupt_response if wanted.interrupt_response is None else wanted.interrupt_response
    if isinstance(wanted, SemanticVad):
        eagerness = wanted.eagerness or "auto"
        return TurnDetection(True, defaults.vad_threshold, defaults.silence_ms, eagerness, create, interrupt)
    return TurnDetection(
        semantic=False,
        threshold=defaults.vad_threshold if wanted.threshold is None else wanted.threshold,
        silence_ms=defaults.silence_ms if wanted.silence_duration_ms is None else wanted.silence_duration_ms,
        create_response=create,
        interrupt_response=interrupt,
    )


def _transcription_of(wanted: Transcription | None, defaults: SessionDefaults) -> dict[str, Any] | None:
    if wanted is None:
        return None
    spoken = defaults.language
    if wanted.language is not None and wanted.language.lower().split("-")[0] != spoken:
        raise ClientEventError(
            UNSUPPORTED,
            f"this gateway transcribes {spoken!r}, not {wanted.language!r}",
            param="session.audio.input.transcription.language",
        )
    return {"model": defaults.transcription_model, "language": wanted.language or spoken, "prompt": wanted.prompt}


def _hotwords_of(wanted: Transcription | None, defaults: SessionDefaults) -> str:
    words = [] if wanted is None else [*(wanted.keywords or ()), *((wanted.prompt,) if wanted.prompt else ())]
    return ", ".join(words) or defaults.hotwords


def _refuse_unsupported(update: SessionUpdate) -> None:
    if update.prompt is not None:
        raise ClientEventError(
            UNSUPPORTED, "stored prompts are not supported: send instructions", param="session.prompt"
        )
    detection = update.audio.input.turn_detection if update.audio and update.audio.input else None
    if isinstance(detection, ServerVad) and detection.idle_timeout_ms:
        raise ClientEventError(
            UNSUPPORTED,
            "idle timeouts are not supported: send idle_timeout_ms null",
            param="session.audio.input.turn_detection.idle_timeout_ms",
        )
