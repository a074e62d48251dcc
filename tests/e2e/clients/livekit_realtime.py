"""LiveKit's stock AgentSession on its RealtimeModel holds a spoken conversation with a tool call."""

import asyncio
import time

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins.openai.realtime import RealtimeModel
from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad
from phone import RATE, WEATHER, Microphone, Report, arguments, until

report = Report("livekit")


class MicrophoneInput(AudioInput):
    """The telephone's microphone as LiveKit wants it."""

    def __init__(self, microphone: Microphone) -> None:
        super().__init__(label="telephone")
        self._frames = microphone.frames()

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await anext(self._frames)
        return rtc.AudioFrame(frame, RATE, 1, len(frame) // 2)


class Loudspeaker(AudioOutput):
    """Plays in real time and says how far it came, as a device does."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self._pushed_s = 0.0
        self._began_at: float | None = None
        self._end: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._began_at is None:
            self._began_at = time.monotonic()
            self._pushed_s = 0.0
            report.audio_bytes.append(0)
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration
        report.audio_bytes[-1] += len(frame.data.tobytes())

    def flush(self) -> None:
        super().flush()
        if self._began_at is not None and self._end is None:
            remaining_s = self._began_at + self._pushed_s - time.monotonic()
            self._end = asyncio.create_task(self._finish(max(0.0, remaining_s)))

    def clear_buffer(self) -> None:
        if self._began_at is None:
            return
        if self._end is not None:
            self._end.cancel()
        played_s = min(self._pushed_s, time.monotonic() - self._began_at)
        self._over(played_s, interrupted=True)

    async def _finish(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self._over(self._pushed_s, interrupted=False)

    def _over(self, played_s: float, *, interrupted: bool) -> None:
        self._began_at = self._end = None
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


class PhoneAgent(Agent):
    """Has one function."""

    @function_tool
    async def get_weather(self, city: str) -> str:
        """Tell the weather in a city.

        Args:
            city: Name of the city.
        """
        report.tool_arguments.append(city)
        self.session.llm.update_options(tool_choice="none")
        return WEATHER


async def main() -> None:
    """Say the recordings one after the other."""
    options = arguments()
    weather, coffee, story, stop = options.clips
    model = RealtimeModel(
        base_url=f"{options.url}/v1",
        api_key=options.key,
        model="voicectl",
        modalities=["audio"],
        tool_choice="required",
        turn_detection=SemanticVad(type="semantic_vad", create_response=True, interrupt_response=True),
    )
    session = AgentSession(llm=model)
    microphone = Microphone()
    session.input.audio = MicrophoneInput(microphone)
    session.output.audio = Loudspeaker()
    states: list[str] = []

    @session.on("conversation_item_added")
    def added(event) -> None:
        if event.item.type != "message" or not event.item.text_content:
            return
        texts = report.heard if event.item.role == "user" else report.replies
        texts.append(event.item.text_content)
        # The gateway holds its voice before it tells of the interruption, so the loudspeaker may have run dry by then.
        report.interruptions += event.item.interrupted

    @session.on("agent_state_changed")
    def changed(event) -> None:
        states.append(event.new_state)

    @session.on("error")
    def failed(event) -> None:
        report.errors.append(str(event.error))

    await session.start(PhoneAgent(instructions="You are a friendly phone agent."))
    microphone.say(weather)
    await until(lambda: bool(report.tool_arguments), "the tool was called")
    await until(lambda: len(report.replies) >= 1 and states[-1] == "listening", "the weather was told")
    replies = len(report.replies)
    microphone.say(coffee)
    await until(lambda: len(report.replies) > replies and states[-1] == "listening", "the second question was answered")
    begun = len(report.audio_bytes)
    microphone.say(story)
    await until(lambda: len(report.audio_bytes) > begun and report.audio_bytes[-1] > 24_000, "the story began")
    microphone.say(stop)
    await until(lambda: report.interruptions > 0, "the story was interrupted")
    replies = len(report.replies)
    await until(lambda: len(report.replies) > replies and states[-1] == "listening", "the objection was answered")
    await session.aclose()
    report.write()


asyncio.run(main())
