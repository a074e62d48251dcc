"""Pipecat's stock OpenAIRealtimeLLMService holds a spoken conversation with a tool call and an interruption."""

import asyncio
import sys

from loguru import logger
from phone import RATE, WEATHER, Microphone, Report, arguments, until
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMUpdateSettingsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SemanticTurnDetection,
    SessionProperties,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

logger.remove()
logger.add(sys.stderr, level="WARNING")
report = Report("pipecat")
ended: list[bool] = []


class Scribe(FrameProcessor):
    """Writes down what the caller said, which leaves the service upstream."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame) and direction is FrameDirection.UPSTREAM:
            report.heard.append(frame.text)
        await self.push_frame(frame, direction)


class Ear(FrameProcessor):
    """Writes down what the service answers."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                report.audio_bytes[-1] += len(frame.audio)
            case TTSTextFrame():
                report.replies[-1] += f" {frame.text}"
            case LLMFullResponseEndFrame():
                ended.append(True)
                report.audio_bytes.append(0)
                report.replies.append("")
            case InterruptionFrame():
                report.interruptions += 1
            case ErrorFrame():
                report.errors.append(frame.error)
        await self.push_frame(frame, direction)


def properties(tool_choice: str) -> SessionProperties:
    """Return the session's settings."""
    return SessionProperties(
        instructions="You are a friendly phone agent.",
        tool_choice=tool_choice,
        max_output_tokens=60,
        audio=AudioConfiguration(
            input=AudioInput(transcription=InputAudioTranscription(), turn_detection=SemanticTurnDetection())
        ),
    )


async def main() -> None:
    """Say the recordings one after the other."""
    options = arguments()
    weather, coffee, story, stop = options.clips
    service = OpenAIRealtimeLLMService(
        api_key=options.key,
        base_url=options.url.replace("http", "ws", 1) + "/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(model="voicectl", session_properties=properties("none")),
    )

    async def get_weather(call: FunctionCallParams) -> None:
        report.tool_arguments.append(str(call.arguments.get("city")))
        delta = OpenAIRealtimeLLMService.Settings(session_properties=properties("none"))
        await task.queue_frame(LLMUpdateSettingsFrame(delta=delta))
        await asyncio.sleep(0.3)
        await call.result_callback(WEATHER)

    service.register_function("get_weather", get_weather)
    city = {"city": {"type": "string", "description": "Name of the city."}}
    tools = ToolsSchema([FunctionSchema("get_weather", "Tell the weather in a city.", city, ["city"])])
    context = LLMContext([{"role": "user", "content": "Hello, my name is Robin."}], tools)
    aggregators = LLMContextAggregatorPair(context)
    pipeline = Pipeline([aggregators.user(), Scribe(), service, Ear(), aggregators.assistant()])
    task = PipelineTask(pipeline, params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE))
    runner = PipelineRunner(handle_sigint=False)
    microphone = Microphone()

    async def speak() -> None:
        async for frame in microphone.frames():
            await task.queue_frame(InputAudioRawFrame(frame, RATE, 1))

    async def converse() -> None:
        report.audio_bytes.append(0)
        report.replies.append("")
        # A context is taken up when it is run: the agent greets the caller.
        await task.queue_frame(LLMRunFrame())
        await until(lambda: len(ended) == 1 and any(report.audio_bytes), "the caller was greeted")
        delta = OpenAIRealtimeLLMService.Settings(session_properties=properties("required"))
        await task.queue_frame(LLMUpdateSettingsFrame(delta=delta))
        microphone.say(weather)
        await until(lambda: bool(report.tool_arguments), "the tool was called")
        done = len(ended)
        await until(lambda: len(ended) > done and any(report.audio_bytes), "the weather was told")
        await until(lambda: report.replies[-1] == "" and any(report.replies), "the reply ended")
        done = len(ended)
        microphone.say(coffee)
        await until(lambda: len(ended) > done and len(report.heard) >= 2, "the second question was answered")
        microphone.say(story)
        await until(lambda: report.audio_bytes[-1] > 24_000 and len(report.heard) >= 3, "the story began")
        microphone.say(stop)
        interruptions = report.interruptions
        await until(lambda: report.interruptions > interruptions, "the story was interrupted")
        await until(lambda: len(report.heard) >= 4, "the objection was heard")
        done = len(ended)
        await until(lambda: len(ended) > done, "the objection was answered")

    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(speak())
        running = tasks.create_task(runner.run(task))
        try:
            await converse()
        finally:
            speaking.cancel()
            await task.cancel()
            await running
    report.replies = [reply.strip() for reply in report.replies if reply.strip()]
    report.write()


asyncio.run(main())
