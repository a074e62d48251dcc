"""Raw WebSocket clients, well-behaved and not, against a served gateway."""

import asyncio
import base64
import json
import socket
import struct
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.conformance import validate_frame
from tests.fakes.conversation import RunningGateway, Script, eventually, running, scripted_profile
from voicectl.core import events as ev

pytestmark = pytest.mark.integration

BETA = {"OpenAI-Beta": "realtime=v1"}


def dial(gateway: RunningGateway, query: str = "", **options: Any) -> connect:
    return connect(gateway.realtime_url + query, compression=None, max_size=None, **options)


async def frame_of(connection: ClientConnection, kind: str, *, beta: bool = False) -> dict[str, Any]:
    """Return the next frame of a kind; every frame on the way is checked."""
    async with asyncio.timeout(5):
        while True:
            frame: dict[str, Any] = json.loads(await connection.recv())
            validate_frame(frame, beta=beta)
            if frame["type"] == kind:
                return frame


async def lives_on(connection: ClientConnection) -> bool:
    """Return whether the session still answers."""
    await connection.send('{"type": "input_audio_buffer.clear"}')
    return (await frame_of(connection, "input_audio_buffer.cleared"))["type"] == "input_audio_buffer.cleared"


def no_tasks_but(before: set["asyncio.Task[Any]"]) -> bool:
    return not [task for task in asyncio.all_tasks() - before if not task.done()]


BAD_FRAMES = {
    "malformed": ("{", "invalid_json", None),
    "empty": ("", "invalid_json", None),
    "no object": ("[1, 2]", "invalid_json", None),
    "not finite": ('{"type": NaN}', "invalid_json", None),
    "deep": ("[" * 50_000, "invalid_json", None),
    "lone surrogate": ('{"type": "\\ud800"}', "invalid_json", None),
    "binary": (b"\x00\x01", "invalid_frame", None),
    "no type": ('{"event_id": "e"}', "missing_required_parameter", "type"),
    "unknown type": ('{"type": "make.coffee", "event_id": "e"}', "invalid_value", "type"),
    "type is no text": ('{"type": {}, "event_id": "e"}', "invalid_value", "type"),
    "no audio": ('{"type": "input_audio_buffer.append", "event_id": "e"}', "missing_required_parameter", "audio"),
    "audio is no text": ('{"type": "input_audio_buffer.append", "audio": 5, "event_id": "e"}', "invalid_type", "audio"),
    "no base64": ('{"type": "input_audio_buffer.append", "audio": "€!", "event_id": "e"}', "invalid_audio", "audio"),
    "odd bytes": ('{"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e"}', "invalid_audio", "audio"),
    "oversize": (
        json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 1_000_000, "event_id": "e"}),
        "message_too_large",
        None,
    ),
    "empty commit": ('{"type": "input_audio_buffer.commit", "event_id": "e"}', "input_audio_buffer_commit_empty", None),
    "no item": ('{"type": "conversation.item.create", "event_id": "e"}', "missing_required_parameter", "item"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_a_bad_message_is_an_error_and_the_session_lives_on(name: str) -> None:
    frame, code, param = BAD_FRAMES[name]
    async with running() as gateway, dial(gateway) as connection:
        await connection.send(frame)
        error = (await frame_of(connection, "error"))["error"]
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
        assert error["message"]
        # The id is part of what could be read, unless nothing could.
        readable = isinstance(frame, str) and '"event_id": "e"' in frame and code != "message_too_large"
        assert error["event_id"] == ("e" if readable else None)
        assert await lives_on(connection)


async def test_a_message_far_beyond_the_limit_closes_the_connection_with_1009() -> None:
    async with running() as gateway, dial(gateway) as connection:
        await connection.send("x" * 3_000_000)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        await eventually(lambda: gateway.call.finished)


async def test_text_that_is_not_utf8_closes_the_connection_with_1007() -> None:
    async with running() as gateway, dial(gateway) as connection:
        await connection.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
        await eventually(lambda: gateway.call.finished)


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_client_that_vanishes_mid_turn_leaves_no_task_behind(abrupt: bool) -> None:
    async with running(Script(hold_reply=True)) as gateway:
        async with httpx.AsyncClient() as http:
            await http.get(f"{gateway.url}/healthz")
        before = asyncio.all_tasks()
        connection = await dial(gateway)
        await connection.send('{"type": "response.create"}')
        await frame_of(connection, "response.output_audio.delta")
        if abrupt:
            raw = connection.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.transport.abort()
        else:
            await connection.close()
        await eventually(lambda: gateway.call.finished)
        assert isinstance(gateway.call.actions[-1], ev.CallerLeft)
        await connection.wait_closed()
        await eventually(lambda: no_tasks_but(before))


async def test_a_client_that_does_not_read_is_closed_and_others_go_on() -> None:
    profile = scripted_profile(queue_depth=20, stall_s=0.3, hangup_s=0.2)
    async with running(Script(flood=True, reply_s=3.0), profile=profile) as gateway:
        slow = await dial(gateway, ping_interval=None, max_queue=1)
        # Read nothing from here on: the kernel's buffers fill, then the gateway's.
        slow.transport.pause_reading()
        await slow.send('{"type": "response.create"}')
        await eventually(lambda: gateway.gateway.conversations[0].finished, within_s=20)
        async with dial(gateway) as other:
            assert await lives_on(other)
        slow.transport.abort()
        await slow.wait_closed()


async def test_a_call_that_stops_listening_is_closed() -> None:
    profile = scripted_profile(queue_depth=5, stall_s=0.2, hangup_s=0.2)
    async with running(Script(deaf=True), profile=profile) as gateway, dial(gateway) as connection:
        for _ in range(10):
            await connection.send('{"type": "input_audio_buffer.clear"}')
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert gateway.call.finished


async def test_a_call_that_fails_tells_its_client_and_takes_no_other_with_it() -> None:
    script = Script()
    async with running(script) as gateway, dial(gateway) as good, dial(gateway) as bad:
        assert await lives_on(good)
        assert await lives_on(bad)
        script.crash = True
        await bad.send('{"type": "input_audio_buffer.clear"}')
        error = (await frame_of(bad, "error"))["error"]
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        with pytest.raises(ConnectionClosed) as closed:
            await bad.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        script.crash = False
        assert await lives_on(good)


async def test_an_idle_session_is_closed() -> None:
    profile = scripted_profile()
    profile = profile.model_copy(update={"timeouts": profile.timeouts.model_copy(update={"idle_session_s": 0.2})})
    async with running(profile=profile) as gateway, dial(gateway) as connection:
        await frame_of(connection, "session.created")
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "nothing received for 0.2 s")


async def test_beta_clients_get_beta_names() -> None:
    async with running() as gateway, dial(gateway, additional_headers=BETA) as connection:
        created = await frame_of(connection, "session.created", beta=True)
        assert created["session"]["input_audio_format"] == "pcm16"
        assert created["session"]["modalities"] == ["audio", "text"]
        assert "audio" not in created["session"]
        session = {"input_audio_format": "g711_ulaw", "turn_detection": None, "temperature": 0.8}
        await connection.send(json.dumps({"type": "session.update", "session": session}))
        updated = (await frame_of(connection, "session.updated", beta=True))["session"]
        assert updated["input_audio_format"] == "g711_ulaw"
        assert updated["turn_detection"] is None
        await connection.send('{"type": "response.create", "response": {"modalities": ["audio", "text"]}}')
        frames = []
        while not frames or frames[-1]["type"] != "response.done":
            frames.append(json.loads(await connection.recv()))
            validate_frame(frames[-1], beta=True)
        names = list(dict.fromkeys(frame["type"] for frame in frames))
        assert names == [
            "response.created",
            "response.output_item.added",
            "conversation.item.created",
            "response.content_part.added",
            "response.audio_transcript.delta",
            "response.audio.delta",
            "response.audio.done",
            "response.audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        assert frames[-1]["response"]["output"][0]["content"][0]["type"] == "audio"


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
async def test_telephone_formats_run_at_8_khz_in_each_direction(name: str) -> None:
    async with running() as gateway, dial(gateway) as connection:
        audio = {"input": {"format": {"type": name}}, "output": {"format": {"type": name}}}
        await connection.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "audio": audio}}))
        updated = await frame_of(connection, "session.updated")
        assert updated["session"]["audio"]["input"]["format"] == {"type": name}
        # An odd number of bytes is whole in a format of one byte a sample.
        encoded = base64.b64encode(b"\x80" * 161).decode()
        await connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": encoded}))
        await connection.send('{"type": "response.create"}')
        size = 0
        while (frame := json.loads(await connection.recv()))["type"] != "response.done":
            if frame["type"] == "response.output_audio.delta":
                size += len(base64.b64decode(frame["delta"]))
        assert size == pytest.approx(0.3 * 8000, abs=4)
        assert frame["response"]["audio"]["output"]["format"] == {"type": name}
        assert gateway.call.audio_rate == 8000
        assert len(gateway.call.audio) == 2 * 161


@pytest.mark.parametrize("asked", [True, False])
async def test_stage_times_come_only_when_asked_for(asked: bool) -> None:
    times = ev.StageTimes(committed_at=12.5)
    async with (
        running(Script(times=times)) as gateway,
        dial(gateway, "&voicectl_timings=1" if asked else "") as connection,
    ):
        await connection.send('{"type": "response.create", "response": {"metadata": {"k": "v"}}}')
        metadata = (await frame_of(connection, "response.done"))["response"]["metadata"]
        assert metadata["k"] == "v"
        assert ("voicectl.times" in metadata) is asked
        if asked:
            stages = json.loads(metadata["voicectl.times"])
            assert stages["committed_at"] == 12.5
            assert stages["first_token_at"] is None
            assert stages["session_now"] > 0
            assert len(metadata["voicectl.times"]) <= 512


async def test_browsers_get_the_subprotocol_they_offer() -> None:
    async with running() as gateway:
        async with dial(gateway, subprotocols=["realtime", "openai-insecure-api-key.k"]) as connection:  # type: ignore[list-item]
            assert connection.subprotocol == "realtime"
        async with dial(gateway, subprotocols=["realtime", "openai-beta.realtime-v1"]) as connection:  # type: ignore[list-item]
            created = await frame_of(connection, "session.created", beta=True)
            assert "modalities" in created["session"]


async def test_calls_beyond_the_limit_are_refused_before_the_upgrade() -> None:
    async with running(profile=scripted_profile(max_sessions=1)) as gateway, dial(gateway) as first:
        await frame_of(first, "session.created")
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway)
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) > 0
        assert len(gateway.gateway.conversations) == 1
        await first.close()
        await eventually(lambda: gateway.call.finished)
        async with dial(gateway) as second:
            assert await lives_on(second)


async def test_frames_are_not_compressed_and_leave_at_once() -> None:
    async with running() as gateway, connect(gateway.realtime_url) as connection:
        assert connection.protocol.extensions == []
        await frame_of(connection, "session.created")
