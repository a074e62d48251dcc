import pytest

from tests.fakes.engine_ports import FakeSynthesizer
from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.ports import SpeechChunk
from voicectl.engine.phrases import FallbackSynthesizer, Phrases

WAIT = "One moment, please."
DOWN = EngineError("the voice is down")


class SimpleVoice:
    """A voice of one sample."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def speak(self, text: str, *, speed: float) -> list[SpeechChunk]:
        self.texts.append(text)
        return [SpeechChunk(b"\1\0", 8000)]


async def prepared(voice: FakeSynthesizer) -> Phrases:
    phrases = Phrases()
    await phrases.prepare(voice, (WAIT, " ", WAIT), speed=1.0, timeout_s=1)
    return phrases


async def say(voice: FallbackSynthesizer, text: str, speed: float = 1.0) -> list[SpeechChunk]:
    return [chunk async for chunk in voice.synthesize(text, speed=speed, timeout_s=1)]


async def test_kept_phrase_costs_the_voice_nothing() -> None:
    voice = FakeSynthesizer()
    phrases = await prepared(voice)
    assert len(await say(FallbackSynthesizer(voice, phrases, None), f" {WAIT}")) == 3
    assert voice.texts == [WAIT]


async def test_phrase_at_another_speed_is_spoken_while_the_voice_lives_and_kept_speech_is_used_when_not() -> None:
    voice = FakeSynthesizer()
    speaker = FallbackSynthesizer(voice, await prepared(voice), None)
    await say(speaker, WAIT, speed=1.3)
    assert voice.texts == [WAIT, WAIT]
    voice.failure = DOWN
    assert len(await say(speaker, WAIT, speed=1.3)) == 3


async def test_other_texts_go_to_the_simple_voice_or_fail() -> None:
    voice, simple = FakeSynthesizer(failure=DOWN), SimpleVoice()
    with pytest.raises(EngineError, match="the voice is down"):
        await say(FallbackSynthesizer(voice, Phrases(), None), "Hello.")
    assert await say(FallbackSynthesizer(voice, Phrases(), simple), "Hello.") == [SpeechChunk(b"\1\0", 8000)]
    assert simple.texts == ["Hello."]


async def test_text_that_the_voice_refuses_is_refused() -> None:
    voice, simple = FakeSynthesizer(failure=RequestRejected("too long")), SimpleVoice()
    with pytest.raises(RequestRejected):
        await say(FallbackSynthesizer(voice, Phrases(), simple), "Hello.")


async def test_phrases_that_fail_are_made_at_the_next_try() -> None:
    voice = FakeSynthesizer(failure=DOWN)
    phrases = await prepared(voice)
    assert len(phrases) == 0
    voice.failure = None
    await phrases.prepare(voice, (WAIT,), speed=1.0, timeout_s=1)
    assert phrases.get(WAIT) is not None
