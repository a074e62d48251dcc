"""Find out what spoken turns ask of the engine: where callers pause, what ends a turn, how long replies are."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

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

T = TypeVar("T")
TIMEOUT_S: Final = 60.0
AT_ONCE: Final = 2
LONGEST_WINDOW: Final = 3000
DEFAULT_LAG_S: Final = 0.03
WARM_UP_TURNS: Final = 2
"""Turns at the beginning of a conversation that are not counted: replies to a caller whom the model has just met are
shorter than later ones."""


class _Ear:
    """What voice activity and the turn's end make of one utterance, with evidence that comes at once."""

    def __init__(self, profile: Profile, vad: Path, samples: Samples) -> None:
        self._listener = Listener(VoiceActivityDetector(vad), Endpointer(profile.endpointing, profile.vad), profile.vad)
        self._settings = profile.endpointing
        span = audible_span(samples, MODEL_RATE_HZ)
        self.first_s, self.last_s = (0.0, samples.size / MODEL_RATE_HZ) if span is None else (span.first_s, span.last_s)
        silence_s = profile.endpointing.patience_ms / 1000 + 1.0
        self._pcm = float_to_pcm16(samples) + bytes(2 * round(silence_s * MODEL_RATE_HZ))

    async def turn(self, engine: Engine) -> "_Heard":
        """Return how the utterance is heard.

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
        return _Heard(pauses, max(0.05, ended_s - self.last_s), lag_s, text, unclear)


async def profiled(
    engine: Engine,
    profile: Profile,
    vad: Path,
    utterances: Sequence[Samples],
    *,
    name: str,
    think_s: float,
    times: int = 1,
) -> Conversation:
    """Return conversations of these utterances (16 kHz mono), as this engine hears and answers them.

    The utterances are said in turn, each `times` times, in calls that begin with different ones: what is replied
    depends on what was said before. Nothing is timed, so two are at work at once.
    """
    ears = [_Ear(profile, vad, samples) for samples in utterances]
    heard = await _two_at_once([ear.turn(engine) for ear in ears])

    async def call(number: int, said: Sequence[int]) -> list[_Written]:
        texts = [heard[index].text or "Hello?" for index in said]
        return await _answered(engine, profile, f"calibrate-call-{number}", texts)

    calls = _calls(len(utterances), times)
    written = await _two_at_once([call(number, said) for number, said in enumerate(calls)])
    said = [index for call_said in calls for index in call_said[WARM_UP_TURNS:]]
    replies = [reply for call_replies in written for reply in call_replies]
    turns = tuple(
        _shape(ears[index].last_s - ears[index].first_s, heard[index], reply)
        for index, reply in zip(said, replies, strict=True)
    )
    added = [reply.prompt_tokens + reply.num_tokens for reply in replies]
    return Conversation(name, turns, think_s, turn_tokens=round(sum(added) / len(added)))


def _calls(num_utterances: int, times: int) -> list[list[int]]:
    """Return who says what: each utterance `times` times behind the turns that do not count.

    At most `AT_ONCE` calls say all of them; the next ones begin elsewhere.
    """
    bounds = sorted({round(number * num_utterances / AT_ONCE) for number in range(AT_ONCE + 1)})
    shifts = [round(number * num_utterances / AT_ONCE / times) for number in range(times)]
    return [
        [(shift + index) % num_utterances for index in range(begin - WARM_UP_TURNS, end)]
        for shift in shifts
        for begin, end in pairwise(bounds)
    ]


async def _two_at_once(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in the order of the work."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(piece: Coroutine[Any, Any, T]) -> T:
        async with places:
            return await piece

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(piece)) for piece in work]
    return [task.result() for task in tasks]


def _shape(speech_s: float, heard: "_Heard", reply: "_Written") -> TurnShape:
    return TurnShape(
        speech_s=speech_s,
        end_pause_s=heard.end_pause_s,
        prompt_tokens=max(1, reply.prompt_tokens),
        first_clause_tokens=max(1, reply.first_clause_tokens),
        reply_tokens=max(1, reply.num_tokens),
        clauses_s=tuple(reply.clauses_s) or (0.5,),
        pauses=tuple(heard.pauses),
        hearing_s=heard.lag_s,
        second_look=heard.unclear,
    )


@dataclass(frozen=True, slots=True)
class _Heard:
    """How an utterance was heard: pauses, the pause that ended the turn, the lag of hearing it, and its words."""

    pauses: list[Pause]
    end_pause_s: float
    lag_s: float
    text: str
    unclear: bool


class _Written:
    """A reply as it was written, and how long its clauses sound."""

    def __init__(self) -> None:
        self.text = ""
        self.clauses: list[str] = []
        self.clauses_s: list[float] = []
        self.prompt_tokens = 0
        self.first_clause_tokens = 0
        self.num_tokens = 0


async def _answered(engine: Engine, profile: Profile, session: str, texts: Sequence[str]) -> list[_Written]:
    """Return the replies of one call that count, in order; each is spoken while the next is written."""
    messages = [Message("system", profile.llm.system_prompt)]
    replies = []
    async with asyncio.TaskGroup() as speaking:
        for number, text in enumerate(texts):
            messages.append(Message("user", text))
            reply = await _reply(engine, profile, session, messages)
            messages.append(Message("assistant", reply.text))
            if number >= WARM_UP_TURNS:
                speaking.create_task(_speak(engine, reply))
                replies.append(reply)
    await engine.language_model.forget(session)
    return replies


async def _reply(engine: Engine, profile: Profile, session: str, messages: Sequence[Message]) -> _Written:
    llm = profile.llm
    request = ChatRequest(
        session_id=session,
        messages=tuple(messages),
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
            written.text += delta.text
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
    return written


async def _speak(engine: Engine, reply: _Written) -> None:
    reply.clauses_s = [await _length_s(engine, clause) for clause in reply.clauses]


async def _length_s(engine: Engine, clause: str) -> float:
    length_s = 0.0
    async with aclosing(engine.synthesizer.synthesize(clause, timeout_s=TIMEOUT_S)) as chunks:
        async for chunk in chunks:
            length_s += len(chunk.pcm) / 2 / chunk.sample_rate
    return length_s
