"""The stock SDK and raw HTTP use the REST interface of a served gateway."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.fakes.conversation import RunningGateway, eventually, running, scripted_profile, tone
from voicectl.core.errors import DeadlineExceeded, RequestRejected, WorkerDied
from voicectl.core.events import Tool, ToolCall
from voicectl.core.ports import Message, Priority

pytestmark = pytest.mark.integration

HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
WEATHER: list[Any] = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {}}},
    }
]


@asynccontextmanager
async def sdk(**server: Any) -> AsyncIterator[tuple[RunningGateway, AsyncOpenAI]]:
    async with (
        running(profile=scripted_profile(**server)) as gateway,
        AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield gateway, client


def wav(seconds: float = 0.5, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(tone(seconds, rate))
    return file.getvalue()


# --- models ---------------------------------------------------------------------------------------


async def test_the_models_of_the_profile_are_listed() -> None:
    async with sdk() as (_, client):
        models = (await client.models.list()).data
        assert [model.id for model in models] == ["scripted-model", "s", "scripted-voice"]
        assert (await client.models.retrieve("s")).id == "s"
        with pytest.raises(openai.NotFoundError) as refused:
            await client.models.retrieve("gpt-0")
        assert refused.value.code == "model_not_found"


# --- chat -----------------------------------------------------------------------------------------


async def test_a_reply_is_whole_or_in_pieces_and_says_what_it_cost() -> None:
    async with sdk() as (gateway, client):
        whole = await client.chat.completions.create(model="any", messages=HELLO)
        assert whole.choices[0].message.content == "I am a voice. I say two sentences. "
        assert whole.choices[0].finish_reason == "stop"
        assert whole.model == "scripted-model"
        assert whole.usage is not None
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (20, 8, 28)
        pieces = await client.chat.completions.create(
            model="any", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in pieces]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
            whole.choices[0].message.content
        )
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage == whole.usage
        model = gateway.gateway.language_model
        sessions = [request.session_id for request in model.requests]
        assert len(set(sessions)) == 2
        await eventually(lambda: model.forgotten == sessions)


async def test_what_the_client_asks_for_reaches_the_language_model() -> None:
    async with sdk() as (gateway, client):
        await client.chat.completions.create(
            model="any",
            messages=[
                {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ],
            temperature=0.5,
            top_p=0.9,
            max_completion_tokens=17,
            seed=-1,
            tools=WEATHER,
            tool_choice={"type": "function", "function": {"name": "weather"}},
        )
        request = gateway.gateway.language_model.requests[0]
        assert request.messages == (
            Message("system", "Be brief."),
            Message("user", "Weather?"),
            Message("assistant", "", tool_calls=(ToolCall("call_1", "weather", "{}"),)),
            Message("tool", "rain", call_id="call_1"),
        )
        assert (request.temperature, request.top_p, request.max_tokens, request.seed) == (0.5, 0.9, 17, 2**32 - 1)
        assert request.tools == (Tool("weather", "d", '{"type": "object", "properties": {}}'),)
        assert (request.tool_choice, request.forced_tool) == ("required", "weather")
        assert request.priority is Priority.SPECULATIVE


async def test_a_function_call_comes_back_in_both_shapes() -> None:
    async with sdk() as (gateway, client):
        gateway.gateway.language_model.tool_calls = (ToolCall("call_9", "weather", '{"city": "Ulm"}'),)
        gateway.gateway.language_model.reply = ""
        whole = await client.chat.completions.create(model="any", messages=HELLO, tools=WEATHER)
        assert whole.choices[0].finish_reason == "tool_calls"
        assert whole.choices[0].message.tool_calls is not None
        call = whole.choices[0].message.tool_calls[0]
        assert call.type == "function"
        assert (call.id, call.function.name, call.function.arguments) == ("call_9", "weather", '{"city": "Ulm"}')
        async with client.chat.completions.stream(model="any", messages=HELLO, tools=WEATHER) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.tool_calls is not None
        assert final.choices[0].message.tool_calls[0].id == "call_9"


async def test_json_formats_become_a_schema() -> None:
    async with sdk() as (gateway, client):
        await client.chat.completions.create(model="any", messages=HELLO, response_format={"type": "json_object"})
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        await client.chat.completions.create(
            model="any",
            messages=HELLO,
            response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}},
        )
        asked = [json.loads(request.schema or "null") for request in gateway.gateway.language_model.requests]
        assert asked == [{"type": "object"}, schema]


async def test_a_stop_text_ends_a_reply_and_its_request() -> None:
    async with sdk() as (gateway, client):
        whole = await client.chat.completions.create(model="any", messages=HELLO, stop=["voice"])
        assert whole.choices[0].message.content == "I am a "
        pieces = await client.chat.completions.create(model="any", messages=HELLO, stop="voice", stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in pieces])
        assert text == "I am a "
        await eventually(lambda: gateway.gateway.language_model.num_cancelled == 2)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_goes_away_cancels_its_request(streamed: bool) -> None:
    async with sdk() as (gateway, _):
        model = gateway.gateway.language_model
        model.word_s = 0.1
        body = {"model": "any", "messages": HELLO, "stream": streamed}
        async with httpx.AsyncClient() as http:
            if streamed:
                async with http.stream("POST", f"{gateway.url}/v1/chat/completions", json=body) as response:
                    await anext(response.aiter_lines())
            else:
                with pytest.raises(httpx.ReadTimeout):
                    await http.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=0.2)
        await eventually(lambda: model.num_cancelled == 1 and len(model.forgotten) == 1)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (RequestRejected("full"), 503, "overloaded"),
        (WorkerDied("gone"), 503, "engine_failed"),
        (DeadlineExceeded("late"), 504, "timeout"),
    ],
)
async def test_a_stage_that_fails_is_told_with_a_status(failure: Any, status: int, code: str) -> None:
    async with sdk() as (gateway, client):
        gateway.gateway.language_model.failure = failure
        gateway.gateway.synthesizer.failure = failure
        gateway.gateway.transcriber.failure = failure
        requests = [
            client.chat.completions.create(model="m", messages=HELLO),
            client.chat.completions.create(model="m", messages=HELLO, stream=True),
            client.audio.speech.create(model="m", voice="v", input="Hello."),
            client.audio.transcriptions.create(model="m", file=wav()),
        ]
        for request in requests:
            with pytest.raises(openai.APIStatusError) as failed:
                await request
            assert (failed.value.status_code, failed.value.code) == (status, code)
            assert ("retry-after" in failed.value.response.headers) is (status == 503)


BAD_CHATS: dict[str, tuple[str | bytes, str, str | None]] = {
    "no JSON": (b"{", "invalid_json", None),
    "no UTF-8": (b'{"model": "\xff"}', "invalid_request", None),
    "no object": ("[1]", "invalid_type", None),
    "no messages": ('{"model": "m"}', "missing_required_parameter", "messages"),
    "empty messages": ('{"model": "m", "messages": []}', "invalid_value", "messages"),
    "unknown field": (
        '{"model": "m", "messages": [{"role": "user", "content": "a"}], "x": 1}',
        "unknown_parameter",
        "x",
    ),
    "unknown role": ('{"model": "m", "messages": [{"role": "god", "content": "a"}]}', "invalid_value", "messages.0"),
    "hot": (
        '{"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 3}',
        "invalid_value",
        "temperature",
    ),
    "not a number": (
        '{"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}',
        "invalid_value",
        "temperature",
    ),
    "two replies": ('{"model": "m", "messages": [{"role": "user", "content": "a"}], "n": 2}', "invalid_value", "n"),
    "forced without tools": (
        '{"model": "m", "messages": [{"role": "user", "content": "a"}], "tool_choice": "required"}',
        "invalid_value",
        "tool_choice",
    ),
}


@pytest.mark.parametrize("name", BAD_CHATS)
async def test_a_bad_chat_request_is_refused_with_the_field_that_is_wrong(name: str) -> None:
    body, code, param = BAD_CHATS[name]
    async with running() as gateway, httpx.AsyncClient() as http:
        answer = await http.post(
            f"{gateway.url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
        problem = answer.json()["error"]
        assert (problem["type"], problem["code"], problem["param"]) == ("invalid_request_error", code, param)
        assert problem["message"]
        assert not gateway.gateway.language_model.requests


# --- speech ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_a_text_is_spoken_in_every_format(wanted: Any) -> None:
    async with sdk() as (gateway, client):
        answer = await client.audio.speech.create(
            model="any", voice="alloy", input="One two three. Four five.", response_format=wanted
        )
        seconds = 5 * 0.2
        if wanted == "pcm":
            assert len(answer.content) == pytest.approx(seconds * 24_000 * 2, rel=0.01)
        elif wanted == "aac":
            assert answer.content[:2] == b"\xff\xf1"
        else:
            with av.open(io.BytesIO(answer.content)) as file:
                track = file.streams.audio[0]
                num_samples = sum(frame.samples for frame in file.decode(track))
                assert num_samples / track.rate == pytest.approx(seconds, abs=0.1)
        assert "".join(gateway.gateway.synthesizer.texts) == "One two three. Four five."


async def test_speech_is_sent_as_it_is_made() -> None:
    async with sdk() as (gateway, client):
        gateway.gateway.synthesizer.word_s = 0.2
        async with client.audio.speech.with_streaming_response.create(
            model="any", voice="v", input="One two three four five.", response_format="pcm"
        ) as answer:
            loop = asyncio.get_running_loop()
            came_at = [loop.time() async for _ in answer.iter_bytes()]
        assert len(came_at) >= 4
        assert came_at[-1] - came_at[0] > 0.5


async def test_speech_comes_as_events_where_asked_for() -> None:
    async with running() as gateway, httpx.AsyncClient() as http:
        body = {"model": "m", "input": "One two.", "response_format": "pcm", "stream_format": "sse"}
        answer = await http.post(f"{gateway.url}/v1/audio/speech", json=body)
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert [event["type"] for event in events][-2:] == ["speech.audio.delta", "speech.audio.done"]


@pytest.mark.parametrize(
    ("change", "param"),
    [({"input": "?!"}, "input"), ({"input": "a" * 5000}, "input"), ({"speed": 9}, "speed"), ({"pitch": 1}, "pitch")],
)
async def test_what_cannot_be_spoken_is_refused(change: dict[str, Any], param: str) -> None:
    async with running() as gateway, httpx.AsyncClient() as http:
        answer = await http.post(
            f"{gateway.url}/v1/audio/speech", json={"model": "m", "voice": "v", "input": "a", **change}
        )
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param


# --- transcriptions -------------------------------------------------------------------------------


async def test_a_recording_is_written_down_in_every_shape() -> None:
    async with sdk() as (_, client):
        plain = await client.audio.transcriptions.create(model="m", file=("a.wav", wav()))
        assert plain.text == "what is the time"
        text = await client.audio.transcriptions.create(model="m", file=("a.wav", wav()), response_format="text")
        assert str(text).strip() == "what is the time"
        verbose = await client.audio.transcriptions.create(
            model="m",
            file=("a.wav", wav(0.5)),
            response_format="verbose_json",
            timestamp_granularities=["segment"],
            language="en",
            prompt="voicectl",
        )
        assert (verbose.duration, verbose.language) == (0.5, "en")
        assert verbose.segments is not None
        assert (verbose.segments[0].start, verbose.segments[0].end) == (0.0, 0.5)
        stream = await client.audio.transcriptions.create(model="m", file=("a.wav", wav()), stream=True)
        events = [event async for event in stream]
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert events[-1].type == "transcript.text.done"
        assert events[-1].text == "what is the time"


BAD_RECORDINGS = {
    "empty": b"",
    "noise": b"this is no recording at all",
    "cut in the header": wav()[:30],
}


@pytest.mark.parametrize("name", BAD_RECORDINGS)
async def test_a_bad_recording_is_refused_with_the_reason(name: str) -> None:
    async with sdk() as (_, client):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.audio.transcriptions.create(model="m", file=("a.wav", BAD_RECORDINGS[name]))
        assert (refused.value.code, refused.value.param) == ("invalid_audio", "file")
        assert "/" not in refused.value.message


async def test_a_recording_beyond_the_limits_is_refused() -> None:
    async with sdk(max_upload_bytes=100_000, max_recording_s=1.0) as (gateway, client):
        with pytest.raises(openai.BadRequestError, match="longer than"):
            await client.audio.transcriptions.create(model="m", file=("a.wav", wav(2.0)))
        with pytest.raises(openai.APIStatusError) as refused:
            await client.audio.transcriptions.create(model="m", file=("a.wav", wav(60.0)))
        assert refused.value.status_code == 413

        async def endless() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(1000):
                yield b"x" * 10_000

        async with httpx.AsyncClient() as http:
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = await http.post(f"{gateway.url}/v1/audio/transcriptions", content=endless(), headers=headers)
            assert answer.status_code == 413


async def test_unknown_fields_and_other_languages_are_refused() -> None:
    async with sdk() as (_, client):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.audio.transcriptions.create(model="m", file=wav(), extra_body={"colour": "red"})
        assert refused.value.param == "colour"
        with pytest.raises(openai.BadRequestError) as refused:
            await client.audio.transcriptions.create(model="m", file=wav(), language="de")
        assert refused.value.param == "language"


# --- bounds ---------------------------------------------------------------------------------------


async def test_requests_beyond_the_limit_are_refused_at_once_and_places_come_back() -> None:
    async with sdk(max_requests=1) as (gateway, client):
        gateway.gateway.language_model.word_s = 0.1
        first = asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO))
        await eventually(lambda: len(gateway.gateway.language_model.requests) == 1)
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(model="m", messages=HELLO)
        assert refused.value.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        await first
        await client.chat.completions.create(model="m", messages=HELLO)
        with pytest.raises(openai.BadRequestError):
            await client.audio.transcriptions.create(model="m", file=b"no recording")
        await client.chat.completions.create(model="m", messages=HELLO)


async def test_an_engine_that_is_not_ready_gets_no_requests() -> None:
    async with sdk() as (gateway, client):
        gateway.gateway.is_ready = False
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(model="m", messages=HELLO)
        assert refused.value.status_code == 503


async def test_wrong_paths_methods_and_types_are_refused_in_the_same_shape() -> None:
    async with running() as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        missing = await http.get("/v2/models")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        method = await http.get("/v1/chat/completions")
        assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")
        assert method.headers["Allow"] == "POST"
        form = await http.post("/v1/chat/completions", data={"model": "m"})
        assert form.status_code == 400


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async with running(profile=scripted_profile(upload_s=0.2)) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert b"408" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        await writer.wait_closed()


async def test_the_document_is_served_and_the_pages_that_need_the_internet_are_not() -> None:
    async with running() as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        document = (await http.get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        assert set(document["paths"]) == {
            "/v1/models",
            "/v1/models/{model_id}",
            "/v1/chat/completions",
            "/v1/audio/speech",
            "/v1/audio/transcriptions",
            "/healthz",
            "/readyz",
        }
        assert "422" not in json.dumps(document)
        assert (await http.get("/docs")).status_code == 404
