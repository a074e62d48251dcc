"""A call across the planes with scripted stages: real listening, real playout, no models."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.ear import CALLER_HZ, listener, silence, speech
from tests.fakes.engine_ports import (
    FakeCheckpointWriter,
    FakeContextSource,
    FakeLanguageModel,
    FakeObserver,
    FakeSynthesizer,
    FakeToolRunner,
    FakeTranscriber,
    FakeTurnDetector,
)
from voicectl.core import events as ev
from voicectl.core.checkpoint import ConversationState
from voicectl.core.clock import MonotonicClock
from voicectl.core.config import load_profile
from voicectl.core.errors import EngineError, WorkerDied
from voicectl.core.events import ToolCall
from voicectl.core.measures import Measures
from voicectl.core.ports import Purpose
from voicectl.core.profile import Profile
from voicectl.service.calls.call import Call, CallEngine, CallServices
from voicectl.service.calls.call_work import TOOL_FAILED

pytestmark = pytest.mark.integration
PROFILE = load_profile("cpu")


@dataclass
class Line:
    """A call in progress and what it said."""

    actions: asyncio.Queue[Any]
    events: list[Any] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    call: Call | None = None

    async def emit(self, event: ev.CallEvent) -> None:
        async with self.arrived:
            self.events.append(event)
            self.arrived.notify_all()

    async def hear(self, *parts: Iterable[bytes]) -> None:
        """Push audio as fast as the call takes it: turns are decided on the stream's own clock."""
        for part in parts:
            for frame in part:
                await self.actions.put(ev.AudioReceived(frame, CALLER_HZ, MonotonicClock().now()))
                await asyncio.sleep(0.001)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, kind: type, number: int = 1) -> Any:
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: len(self.of(kind)) >= number)
        return self.of(kind)[number - 1]


@dataclass
class Stages:
    """The scripted engine of a call."""

    stt: FakeTranscriber = field(default_factory=lambda: FakeTranscriber(["What time is it?"]))
    turn: FakeTurnDetector = field(default_factory=FakeTurnDetector)
    llm: FakeLanguageModel = field(default_factory=FakeLanguageModel)
    tts: FakeSynthesizer = field(default_factory=FakeSynthesizer)
    services: CallServices = field(default_factory=CallServices)
    resumed: ConversationState | None = None
    profile: Profile = PROFILE


@asynccontextmanager
async def calling(stages: Stages) -> AsyncIterator[Line]:
    """Run a call; at the end the caller leaves, and nothing may be left behind."""
    before = asyncio.all_tasks()
    line = Line(asyncio.Queue(100))
    engine = CallEngine(stages.stt, stages.turn, stages.llm, stages.tts)
    line.call = call = Call(
        "sess_test",
        stages.profile,
        engine,
        listener(stages.profile),
        MonotonicClock(),
        services=stages.services,
        owner="key_1",
        attributes={"number": "123"},
        resumed=stages.resumed,
        wall_clock=lambda: 1000.0,
        purpose=Purpose("faq", "low"),
    )
    running = asyncio.create_task(call.run(line.actions, line.emit))
    try:
        yield line
    finally:
        await line.actions.put(ev.CallerLeft("test over"))
        await asyncio.wait_for(running, 5)
    assert asyncio.all_tasks() == before
    assert stages.llm.forgotten == ["sess_test"]


async def test_a_spoken_turn_is_answered_with_sound() -> None:
    stages = Stages()
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert (ended.status, ended.text) == ("completed", "I am a voice. I say two sentences.")
    assert [event.text for event in line.of(ev.TranscriptFinal)] == ["What time is it?"]
    seconds = sum(len(event.pcm) for event in line.of(ev.ReplyAudio)) / (2 * 24_000)
    assert seconds == pytest.approx(8 * 0.2, abs=0.05)
    times = ended.times
    assert times.committed_at <= times.first_sent_at
    assert times.last_voiced_position_s == pytest.approx(0.6, abs=0.05)


async def test_a_reply_is_ready_when_the_turn_is_committed() -> None:
    async with calling(Stages()) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert ended.times.first_audio_at < ended.times.committed_at


async def test_speech_after_a_pause_drops_what_was_prepared() -> None:
    stages = Stages(llm=FakeLanguageModel(word_s=0.2))
    async with calling(stages) as line:
        await line.hear(speech(0.4), silence(0.2), speech(0.4))
        assert stages.llm.num_cancelled == 1
        assert not line.of(ev.ResponseStarted)
        await line.hear(silence(1.0))
        await line.until(ev.ResponseStarted)
    assert len(line.of(ev.AudioCommitted)) == 1


async def test_noise_is_no_turn() -> None:
    async with calling(Stages(stt=FakeTranscriber([""]))) as line:
        await line.hear(speech(0.6), silence(2.0))
        await line.until(ev.SpeechDiscarded)
    assert not line.of(ev.AudioCommitted)
    assert not line.of(ev.ResponseStarted)


async def test_barge_in_keeps_only_the_heard_words() -> None:
    stages = Stages(stt=FakeTranscriber(["Tell me more.", "Stop it now."]))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio, 30)
        await line.hear(speech(0.6))
        ended = await line.until(ev.ResponseEnded)
        num_frames = len(line.of(ev.ReplyAudio))
        assert (ended.status, ended.reason) == ("cancelled", "turn_detected")
        assert ended.text
        assert "I am a voice. I say two sentences.".startswith(ended.text)
        assert ended.text != "I am a voice. I say two sentences."
        await line.hear(silence(1.0))
        await line.until(ev.ResponseStarted, 2)
    first_reply = line.of(ev.ReplyAudio)[0].response_id
    assert sum(event.response_id == first_reply for event in line.of(ev.ReplyAudio)) == num_frames
    assert [message.content for message in stages.llm.requests[-1].messages][1:] == [
        "Tell me more.",
        ended.text,
        "Stop it now.",
    ]


async def test_backchannel_leaves_the_reply_alone() -> None:
    stages = Stages(stt=FakeTranscriber(["Tell me more.", "Uh-huh."]))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio, 10)
        await line.hear(speech(0.4), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert ended.status == "completed"
    assert len(line.of(ev.AudioCommitted)) == 1


def sound(line: Line) -> bytes:
    """Return all that was heard of the agent."""
    return b"".join(event.pcm for event in line.of(ev.ReplyAudio))


async def undisturbed() -> bytes:
    """Return what the agent says to a caller who only listens."""
    async with calling(Stages(stt=FakeTranscriber(["Tell me more."]))) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ResponseEnded)
    return sound(line)


async def test_the_agent_is_silent_while_words_are_awaited_and_loses_none_of_its_own() -> None:
    stages = Stages(stt=FakeTranscriber(["Tell me more.", "Uh-huh."]))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio, 10)
        stages.stt.delay_s = 0.4
        await line.hear(speech(0.3), silence(0.2))
        num_frames = len(line.of(ev.ReplyAudio))
        await asyncio.sleep(0.25)
        assert len(line.of(ev.ReplyAudio)) == num_frames
        await line.hear(silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert ended.status == "completed"
    assert sound(line) == await undisturbed()


async def test_a_click_takes_nothing_from_the_reply() -> None:
    async with calling(Stages(stt=FakeTranscriber(["Tell me more."]))) as line:
        await line.hear(speech(0.6), silence(1.0))
        for number in (10, 30):
            await line.until(ev.ReplyAudio, number)
            await line.hear(speech(0.02), silence(0.14))
        ended = await line.until(ev.ResponseEnded)
    assert ended.status == "completed"
    assert sound(line) == await undisturbed()


async def test_a_caller_whose_audio_stops_coming_does_not_silence_the_agent_for_ever() -> None:
    barge_in = PROFILE.barge_in.model_copy(update={"max_hold_ms": 400})
    stages = Stages(profile=PROFILE.model_copy(update={"barge_in": barge_in}), stt=FakeTranscriber(["Tell me more."]))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio, 10)
        await line.hear(speech(0.08))
        ended = await line.until(ev.ResponseEnded)
    assert ended.status == "completed"


async def test_a_caller_may_leave_while_the_agent_is_held() -> None:
    stages = Stages(stt=FakeTranscriber(["Tell me more.", "Uh-huh."]))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio, 10)
        stages.stt.delay_s = 0.4
        await line.hear(speech(0.3))
    assert not line.of(ev.ResponseEnded)


async def test_a_voice_that_fails_fails_the_reply_and_not_the_call() -> None:
    stages = Stages(tts=FakeSynthesizer(failure=WorkerDied("worker tts died")))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        failed = await line.until(ev.ResponseEnded)
        assert (failed.status, failed.reason) == ("failed", "worker tts died")
        assert failed.text == "I am a voice. I say two sentences."
        stages.tts.failure = None
        await line.hear(speech(0.6), silence(1.0))
        again = await line.until(ev.ResponseEnded, 2)
        assert again.status == "completed"


async def test_a_language_model_that_fails_is_excused_and_the_call_goes_on() -> None:
    stages = Stages(llm=FakeLanguageModel(failure=WorkerDied("worker llm died")))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
        assert ended.text == f"{PROFILE.fallback.wait_text} {PROFILE.fallback.escalate_text}"
        assert [event.reason for event in line.of(ev.EscalationRequested)] == ["llm"]
        stages.llm.failure = None
        await line.hear(speech(0.6), silence(1.0))
        again = await line.until(ev.ResponseEnded, 2)
        assert again.text == "I am a voice. I say two sentences."


async def test_a_reply_that_breaks_in_the_middle_is_said_to_its_end() -> None:
    stages = Stages(llm=FakeLanguageModel(breaks_before=6, num_breaks=1))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert (ended.status, ended.text) == ("completed", "I am a voice. I say two sentences.")
    assert len(stages.llm.requests) == 2
    assert "".join(stages.tts.texts).split() == ended.text.split()


LOOKUP = ToolCall("call_1", "order_status", "{}")


@pytest.mark.parametrize("failure", [None, RuntimeError("a broken runner")])
async def test_a_function_of_the_gateway_is_carried_out_and_answered(failure: Exception | None) -> None:
    runner = FakeToolRunner(failure=failure)
    stages = Stages(llm=FakeLanguageModel(calls=[LOOKUP]), services=CallServices(tools=runner))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert runner.calls == [LOOKUP]
    assert ended.text == "I am a voice. I say two sentences."
    first, second = stages.llm.requests[-2:]
    assert (first.tools, second.tool_choice) == (runner.tools, "auto")
    assert second.messages[-1].content == ("on its way" if failure is None else TOOL_FAILED)
    assert [event.by_gateway for event in line.of(ev.ToolCalled)] == [True]


async def test_who_waits_for_a_function_is_told() -> None:
    services = CallServices(tools=FakeToolRunner(delay_s=1.4))
    stages = Stages(llm=FakeLanguageModel(calls=[LOOKUP]), services=services)
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert ended.text.startswith(PROFILE.fallback.wait_text)
    assert ended.text.endswith("two sentences.")


async def test_a_conversation_is_kept_and_goes_on_in_another_call() -> None:
    kept = FakeCheckpointWriter()
    stages = Stages(services=CallServices(checkpoints=kept))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio, 60)
        broken = kept.states[-1]
    assert (broken.session_id, broken.owner, broken.saved_at) == ("sess_test", "key_1", 1000.0)
    assert broken.use_case == "faq"
    assert (broken.items[-1].text, broken.items[-1].complete) == ("I am a voice. I say two sentences.", False)
    again = Stages(resumed=broken)
    async with calling(again) as line:
        ended = await line.until(ev.ResponseEnded)
    assert ended.text == "I say two sentences."
    assert [message.content for message in again.llm.requests[0].messages[1:]] == ["What time is it?"]


async def test_what_other_systems_know_reaches_the_instructions() -> None:
    source = FakeContextSource()
    stages = Stages(services=CallServices(context=source))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ResponseStarted)
    assert source.asked == [{"number": "123"}]
    assert stages.llm.requests[0].messages[0].content.endswith("The caller is Robin.")


async def test_a_call_does_not_wait_for_what_other_systems_know() -> None:
    source = FakeContextSource(delay_s=60)
    async with calling(Stages(services=CallServices(context=source))) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ResponseStarted)


async def test_observers_see_the_call_and_a_broken_one_does_not_hurt_it() -> None:
    broken, watching = FakeObserver(fails=True), FakeObserver()
    async with calling(Stages(services=CallServices(observers=(broken, watching)))) as line:
        await line.hear(speech(0.6), silence(1.0))
        ended = await line.until(ev.ResponseEnded)
    assert watching.seen == broken.seen
    assert (watching.seen[0], watching.seen[-1]) == ("started", "ended: test over")
    assert ended in watching.seen
    assert not any(isinstance(event, ev.ReplyAudio) for event in watching.seen)


async def test_the_language_model_is_woken_when_speech_begins() -> None:
    stages = Stages()
    async with calling(stages) as line:
        await line.hear(speech(0.3))
        await line.until(ev.SpeechStarted)
        await line.hear(silence(0.1))
    assert [request.session_id for request in stages.llm.woken] == ["sess_test"]
    assert [message.role for message in stages.llm.woken[0].messages] == ["system"]


async def test_measures_reach_a_call_that_says_nothing_and_one_whose_queue_is_full() -> None:
    async with calling(Stages()) as line:
        assert line.call is not None
        line.call.apply(Measures(level=1, names=("no_partials",), partials=False))
        assert (await line.until(ev.ServiceDegraded)).level == 1
        while not line.actions.full():
            line.actions.put_nowait(ev.AudioReceived(bytes(960), CALLER_HZ, MonotonicClock().now()))
        line.call.apply(Measures())
        assert (await line.until(ev.ServiceDegraded, 2)).level == 0


async def test_a_turn_that_cannot_be_transcribed_is_told() -> None:
    stages = Stages(stt=FakeTranscriber([""], failure=EngineError("worker stt died")))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.5))
        failed = await line.until(ev.TranscriptFailed)
        ended = await line.until(ev.ResponseEnded)
    assert failed.message == "worker stt died"
    assert ended.text == PROFILE.fallback.sorry_text


async def test_without_a_score_the_pause_alone_decides() -> None:
    stages = Stages(turn=FakeTurnDetector(0.0), stt=FakeTranscriber(["I would like"]))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(0.7))
        assert not line.of(ev.AudioCommitted)
        await line.hear(silence(1.0))
        await line.until(ev.AudioCommitted)


async def test_an_empty_commit_is_refused_and_the_call_goes_on() -> None:
    stages = Stages()
    async with calling(stages) as line:
        await line.actions.put(ev.SessionConfigured(ev.SessionSettings(endpointing="off")))
        await line.actions.put(ev.AudioCommitRequested("e1"))
        refused = await line.until(ev.ActionRejected)
        assert (refused.code, refused.event_id) == ("input_audio_buffer_commit_empty", "e1")
        await line.hear(speech(0.5))
        await line.actions.put(ev.AudioCommitRequested("e2"))
        await line.actions.put(ev.ResponseRequested())
        ended = await line.until(ev.ResponseEnded)
    assert ended.status == "completed"


async def test_a_caller_who_leaves_in_the_middle_of_a_reply_ends_all_work() -> None:
    stages = Stages(llm=FakeLanguageModel(reply="word " * 200, word_s=0.01))
    async with calling(stages) as line:
        await line.hear(speech(0.6), silence(1.0))
        await line.until(ev.ReplyAudio)
    assert stages.llm.num_cancelled == 1
