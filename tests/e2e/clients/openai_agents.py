"""The stock realtime runner of openai-agents holds a spoken conversation with a tool call and an interruption."""

import asyncio

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.model_inputs import RealtimeModelSendSessionUpdate
from phone import WEATHER, Microphone, Report, arguments, until

report = Report("openai-agents")
session = None


@function_tool
async def get_weather(city: str) -> str:
    """Tell the weather in a city.

    Args:
        city: Name of the city.
    """
    report.tool_arguments.append(city)
    await session.model.send_event(RealtimeModelSendSessionUpdate(session_settings={"tool_choice": "none"}))
    return WEATHER


async def listen() -> None:
    """Write down what the session tells."""
    async for event in session:
        match event.type:
            case "agent_start":
                report.audio_bytes.append(0)
            case "audio":
                report.audio_bytes[-1] += len(event.audio.data)
            case "audio_interrupted":
                report.interruptions += 1
            case "error":
                report.errors.append(str(event.error))
            case "history_added" | "history_updated":
                history = [event.item] if event.type == "history_added" else event.history
                note(history)
            case "agent_end":
                ended.append(len(report.audio_bytes))


ended: list[int] = []
texts: dict[str, tuple[str, str]] = {}


def note(history: list) -> None:
    """Keep the latest words of each entry."""
    for item in history:
        if item.type == "message" and item.role in ("user", "assistant"):
            words = " ".join(
                getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content
            )
            if words.strip():
                texts[item.item_id] = (item.role, words.strip())
    report.heard = [words for role, words in texts.values() if role == "user"]
    report.replies = [words for role, words in texts.values() if role == "assistant"]


async def main() -> None:
    """Say the recordings one after the other."""
    global session
    options = arguments()
    weather, coffee, story, stop = options.clips
    agent = RealtimeAgent(name="phone", instructions="You are a friendly phone agent.", tools=[get_weather])
    runner = RealtimeRunner(agent)
    url = options.url.replace("http", "ws", 1) + "/v1/realtime?model=voicectl"
    settings = {
        "output_modalities": ["audio"],
        "tool_choice": "required",
        "max_output_tokens": 60,
        "audio": {
            "input": {"format": "pcm16", "turn_detection": {"type": "semantic_vad", "interrupt_response": True}},
            "output": {"format": "pcm16"},
        },
    }
    config = {"url": url, "api_key": options.key, "initial_model_settings": settings}
    async with await runner.run(model_config=config) as session, asyncio.TaskGroup() as tasks:
        microphone = Microphone()

        async def speak() -> None:
            async for frame in microphone.frames():
                await session.send_audio(frame)

        running = [tasks.create_task(listen()), tasks.create_task(speak())]
        microphone.say(weather)
        await until(lambda: bool(report.tool_arguments), "the tool was called")
        await until(lambda: any(report.audio_bytes) and len(ended) >= 2, "the weather was told")
        done = len(ended)
        microphone.say(coffee)
        await until(lambda: len(ended) > done, "the second question was answered")
        begun = len(report.audio_bytes)
        microphone.say(story)
        await until(lambda: len(report.audio_bytes) > begun and report.audio_bytes[-1] > 24_000, "the story began")
        microphone.say(stop)
        await until(lambda: report.interruptions > 0, "the story was interrupted")
        done = len(ended)
        await until(lambda: len(ended) > done, "the objection was answered")
        for task in running:
            task.cancel()
    report.write()


asyncio.run(main())
