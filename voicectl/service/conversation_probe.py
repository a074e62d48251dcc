"""Find out what spoken turns ask of the engine: where callers pause, what ends a turn, how long replies are."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from voicectl.agent.segmenter import Segmenter
from voicectl.bench.waveform import audible_span
from voicectl.capacity.conversation import Conversation, Pause, TurnShape
from voicectl.core.audio import FRAME_S, MODEL_RATE_HZ, Samples, float_to_pcm16
from voicectl.core.ports import ChatRequest, Message
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine
from voicectl.media.endpointing import Endpointer, Evidence, Hesitated, Resumed, TurnEnded
from voicectl.media.listening import Listener
from voicectl.media.vad import VoiceActivityDetector

TIMEOUT_S: Final = 60.0
LONGEST_WINDOW: Final = 3000
DEFAULT_LAG_S: Final = 0.03
TURNS_BEHIND: Final = 3
"""Turns that a conversation holds on average: six a call, none at its start."""


class _Ear:
    """What voice activity and the turn's end make of one utterance, with evidence that comes at once."""

    def __init__(self, profile: Profile, vad: Path, samples: Samples) -> None:
        self._listener = Listener(VoiceActivityDetector(vad), Endpointer(profile.endpointing, profile.vad), profile.vad)
        self._settings = profile.endpointing
        span = audible_span(samples, MODEL_RATE_HZ)
        self.first_s, self.last_s = (0.0, samples.size / MODEL_RATE_HZ) if span is None else (span.first_s, span.last_s)
        silence_s = profile.endpointing.patience_ms / 1000 + 1.0
        self._pcm = float_to_pcm16(samples) + bytes(2 * round(silence_s * MODEL_RATE_HZ))

    async def turn(self, engine: Engine) -> tuple[list[Pause], float, float, str, bool]:
        """Return pauses, the pause that ended the turn, its lag of hearing, its words, and whether they were unclear.

        The last of several turns counts: a caller who is cut in goes on.
        """
        pauses: list[Pause] = []
        begun_s = text_s = 0.0
        text, unclear, ended_s = "", False, self.last_s + self._settings.completion_ms / 1000
        lag_s = DEFAULT_LAG_S
        step = round(FRAME_S * MODEL_RATE_HZ) * 2
        position_s = 0.0
        for start in range(0, len(self._pcm), step):
            position_s = (start + step) / 2 / MODEL_RATE_HZ
            decisions = list(self._listener.push(self._pcm[start : start + step], MODEL_RATE_HZ))
            while decisions:
                decision = decisions.pop(0)
                match decision:
                    case Hesitated():
                        begun_s, text_s = decision.speech_end_s, position_s
                        lag_s = position_s - self.last_s - self._settings.hesitation_ms / 1000
                        audio = self._listener.turn_audio()
                        heard = await engine.transcriber.transcribe(audio, timeout_s=TIMEOUT_S)
                        text = heard.text
                        unclear = heard.window_frames >= LONGEST_WINDOW > audio.size / MODEL_RATE_HZ * 100 + 200
                        complete = await engine.turn_detector.completeness(audio, timeout_s=TIMEOUT_S)
                        decisions += self._listener.weigh(Evidence(decision.pause_id, complete, text))
                    case Resumed():
                        pauses.append(Pause(begun_s - self.first_s, position_s - begun_s))
                    case TurnEnded():
                        ended_s = position_s
                        self._listener.reset_turn()
                    case _:
                        pass
        # Voice activity may see the end before the last audible sample.
        lag_s = max(lag_s, -self._settings.hesitation_ms / 1000) if text_s else DEFAULT_LAG_S
        return pauses, max(0.05, ended_s - self.last_s), lag_s, text, unclear


async def profiled(
    engine: Engine,
    profile: Profile,
    vad: Path,
    utterances: Sequence[Samples],
    *,
    name: str,
    think_s: float,
    think_spread_s: float = 0.0,
    on_step: Callable[[], None] = lambda: None,
) -> Conversation:
    """Return conversations of these utterances (16 kHz mono), as this engine hears and answers them, each alone."""
    turns, contexts = [], []
    for number, samples in enumerate(utterances):
        ear = _Ear(profile, vad, samples)
        pauses, end_pause_s, lag_s, text, unclear = await ear.turn(engine)
        reply = await _reply(engine, profile, f"calibrate-turn-{number}", text or "Hello?")
        clauses_s = [await _length_s(engine, clause) for clause in reply.clauses]
        turns.append(
            TurnShape(
                speech_s=ear.last_s - ear.first_s,
                end_pause_s=end_pause_s,
                prompt_tokens=max(1, reply.prompt_tokens),
                first_clause_tokens=max(1, reply.first_clause_tokens),
                reply_tokens=max(1, reply.num_tokens),
                clauses_s=tuple(clauses_s) or (0.5,),
                pauses=tuple(pauses),
                hearing_s=lag_s,
                second_look=unclear,
            )
        )
        contexts.append(reply.prompt_tokens + reply.num_tokens)
        on_step()
    context_tokens = round(TURNS_BEHIND * sum(contexts) / len(contexts))
    return Conversation(name, tuple(turns), think_s, think_spread_s, context_tokens)


class _Written:
    """A reply as it was written."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.prompt_tokens = 0
        self.first_clause_tokens = 0
        self.num_tokens = 0


async def _reply(engine: Engine, profile: Profile, session: str, text: str) -> _Written:
    llm = profile.llm
    instructions = llm.system_prompt
    request = ChatRequest(
        session_id=session,
        messages=(Message("system", instructions), Message("user", text)),
        max_tokens=llm.max_reply_tokens,
        temperature=llm.temperature,
        top_p=llm.top_p,
        top_k=llm.top_k,
        seed=llm.seed,
    )
    written, segmenter, pieces = _Written(), Segmenter(profile.tts.first_clause_words), 0
    async with aclosing(engine.language_model.generate(request, timeout_s=TIMEOUT_S)) as deltas:
        async for delta in deltas:
            pieces += bool(delta.text)
            clauses = segmenter.push(delta.text)
            if clauses and not written.clauses:
                written.first_clause_tokens = pieces
            written.clauses += clauses
            if delta.usage is not None:
                written.prompt_tokens = delta.usage.prompt_tokens - delta.usage.cached_tokens
                written.num_tokens = delta.usage.completion_tokens
    written.clauses += segmenter.flush()
    if not written.first_clause_tokens:
        # One clause: it is spoken when the reply ends.
        written.first_clause_tokens = written.num_tokens
    await engine.language_model.forget(session)
    return written


async def _length_s(engine: Engine, clause: str) -> float:
    length_s = 0.0
    async with aclosing(engine.synthesizer.synthesize(clause, timeout_s=TIMEOUT_S)) as chunks:
        async for chunk in chunks:
            length_s += len(chunk.pcm) / 2 / chunk.sample_rate
    return length_s
