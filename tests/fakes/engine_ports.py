"""The engine's ports without models: each answers as it was told, after as long as it was told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from voicectl.core.audio import Samples, float_to_pcm16
from voicectl.core.checkpoint import ConversationState
from voicectl.core.errors import EngineError, WorkerDied
from voicectl.core.events import CallEvent, TokenUsage, Tool, ToolCall
from voicectl.core.ports import (
    CallIdentity,
    ChatRequest,
    Priority,
    SpeechChunk,
    TextDelta,
    Transcript,
    WordMark,
)

VOICE_HZ = 22_050
WORD_S = 0.2


@dataclass(slots=True)
class FakeTranscriber:
    """Hears the given texts, one a transcription at a pause or an end; the last one again and again."""

    texts: list[str]
    delay_s: float = 0.0
    failure: EngineError | None = None
    num_calls: int = 0

    async def transcribe(
        self,
        samples: Samples,
        *,
        hotwords: str | None = None,
        priority: Priority = Priority.FINAL,
        second_look: bool = True,
        timeout_s: float,
    ) -> Transcript:
        await asyncio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        text = self.texts[min(self.num_calls, len(self.texts) - 1)]
        if second_look:
            self.num_calls += 1
        return Transcript(text, -0.2, 0.01, 1.0, 1000)


@dataclass(slots=True)
class FakeTurnDetector:
    """Says the same of every turn."""

    probability: float = 0.99

    async def completeness(self, samples: Samples, *, timeout_s: float) -> float:
        return self.probability


@dataclass(slots=True)
class FakeLanguageModel:
    """Answers every prompt with the same words, and remembers the prompts.

    The first replies are `calls` of functions instead; a reply breaks off before the word `breaks_before`
    as often as `num_breaks` says.
    """

    reply: str = "I am a voice. I say two sentences."
    failure: EngineError | None = None
    calls: list[ToolCall] = field(default_factory=list)
    breaks_before: int = 0
    num_breaks: int = 0
    word_s: float = 0.0
    requests: list[ChatRequest] = field(default_factory=list)
    num_cancelled: int = 0
    forgotten: list[str] = field(default_factory=list)
    tool_calls: tuple[ToolCall, ...] = ()
    woken: list[ChatRequest] = field(default_factory=list)

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncIterator[TextDelta]:
        self.requests.append(request)
        finished = False
        try:
            if self.failure is not None:
                raise self.failure
            if self.calls:
                yield TextDelta("", "tool_calls", TokenUsage(20, 10, 8), (self.calls.pop(0),))
                finished = True
                return
            for number, word in enumerate(self.reply.split()):
                await asyncio.sleep(self.word_s)
                if number == self.breaks_before and self.num_breaks:
                    self.num_breaks -= 1
                    raise WorkerDied("worker llm died")
                yield TextDelta(word + " ")
            if self.tool_calls:
                yield TextDelta("", "tool_calls", TokenUsage(20, 10, 8), self.tool_calls)
            else:
                yield TextDelta("", "stop", TokenUsage(20, 10, 8))
            finished = True
        finally:
            if not finished:
                self.num_cancelled += 1

    async def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    async def wake(self, request: ChatRequest) -> None:
        self.woken.append(request)


@dataclass(slots=True)
class FakeSynthesizer:
    """Speaks a tone of 200 ms a word, one chunk a word."""

    failure: EngineError | None = None
    texts: list[str] = field(default_factory=list)
    word_s: float = 0.0

    async def synthesize(
        self, text: str, *, speed: float = 1.0, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncIterator[SpeechChunk]:
        self.texts.append(text)
        if self.failure is not None:
            raise self.failure
        tone = (0.3 * np.sin(np.arange(int(VOICE_HZ * WORD_S)) * 0.1)).astype(np.float32)
        position = 0
        for number, word in enumerate(text.split()):
            start = text.index(word, position)
            position = start + len(word)
            mark = WordMark(start, position, number * WORD_S, (number + 1) * WORD_S)
            await asyncio.sleep(self.word_s)
            yield SpeechChunk(float_to_pcm16(tone), VOICE_HZ, (mark,))


@dataclass(slots=True)
class FakeToolRunner:
    """Carries out every call with the same output, after as long as it was told."""

    tools: tuple[Tool, ...] = (Tool("order_status", "Look up an order.", '{"type":"object"}'),)
    output: str = "on its way"
    delay_s: float = 0.0
    failure: Exception | None = None
    calls: list[ToolCall] = field(default_factory=list)

    async def run(self, call: ToolCall, *, session_id: str) -> str:
        self.calls.append(call)
        await asyncio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        return self.output


@dataclass(slots=True)
class FakeCheckpointWriter:
    """Keeps every state."""

    states: list[ConversationState] = field(default_factory=list)

    def save(self, state: ConversationState) -> None:
        self.states.append(state)


@dataclass(slots=True)
class FakeContextSource:
    """Knows one thing about every caller."""

    text: str | None = "The caller is Robin."
    delay_s: float = 0.0
    asked: list[Mapping[str, str]] = field(default_factory=list)

    async def context(self, session_id: str, attributes: Mapping[str, str]) -> str | None:
        self.asked.append(attributes)
        await asyncio.sleep(self.delay_s)
        return self.text


@dataclass(slots=True)
class FakeObserver:
    """Remembers what it was shown, and fails if it was told to."""

    fails: bool = False
    seen: list[object] = field(default_factory=list)

    def call_started(self, call: CallIdentity) -> None:
        self._see("started")

    def call_event(self, call: CallIdentity, event: CallEvent, at: float) -> None:
        self._see(event)

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        self._see(f"ended: {reason}")

    def _see(self, what: object) -> None:
        self.seen.append(what)
        if self.fails:
            raise ValueError("a broken observer")
