"""The stock SDK holds conversations with the gateway, and every frame is of its types."""

import base64
import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.fakes.conformance import validate_frame
from tests.fakes.conversation import RunningGateway, Script, running, tone

pytestmark = pytest.mark.integration


def client(gateway: RunningGateway) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused")


async def frames_until(connection: Any, kind: str) -> list[dict[str, Any]]:
    """Return the frames up to the first of a kind, each checked."""
    frames = []
    while not frames or frames[-1]["type"] != kind:
        frames.append(json.loads(await connection.recv_bytes()))
        validate_frame(frames[-1])
    return frames


def types(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


RESPONSE_ORDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


async def test_the_stock_sdk_holds_a_spoken_conversation() -> None:
    async with running() as gateway, client(gateway) as sdk, sdk.realtime.connect(model="any") as connection:
        created = (await frames_until(connection, "session.created"))[0]
        assert created["session"]["model"] == "scripted-model"
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["audio"], "audio": {"input": {"turn_detection": None}}}
        )
        updated = (await frames_until(connection, "session.updated"))[-1]
        assert updated["session"]["audio"]["input"]["turn_detection"] is None
        for _ in range(10):
            await connection.input_audio_buffer.append(audio=base64.b64encode(tone(0.02, 24_000)).decode())
        await connection.input_audio_buffer.commit()
        heard = await frames_until(connection, "conversation.item.done")
        assert types(heard) == [
            "input_audio_buffer.speech_started",
            "conversation.item.input_audio_transcription.delta",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "conversation.item.done",
        ]
        assert heard[-2]["usage"] == {"type": "duration", "seconds": pytest.approx(0.2)}
        await connection.response.create(response={"metadata": {"client_event_id": "e1"}})
        reply = await frames_until(connection, "response.done")
        assert list(dict.fromkeys(types(reply))) == RESPONSE_ORDER
        assert reply[0]["response"]["metadata"] == {"client_event_id": "e1"}
        done = reply[-1]["response"]
        assert done["status"] == "completed"
        assert done["metadata"] == {"client_event_id": "e1"}
        assert done["usage"]["input_token_details"]["cached_tokens"] == 5
        pcm = b"".join(base64.b64decode(f["delta"]) for f in reply if f["type"] == "response.output_audio.delta")
        assert len(pcm) / 2 / 24_000 == pytest.approx(0.3, abs=0.001)
        assert gateway.call.audio_rate == 24_000


async def test_text_conversation_and_items() -> None:
    async with running() as gateway, client(gateway) as sdk, sdk.realtime.connect(model="any") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        )
        added = (await frames_until(connection, "conversation.item.done"))[-1]
        await connection.conversation.item.retrieve(item_id=added["item"]["id"])
        retrieved = (await frames_until(connection, "conversation.item.retrieved"))[-1]
        assert retrieved["item"]["content"] == [{"type": "input_text", "text": "Hi"}]
        await connection.response.create()
        reply = await frames_until(connection, "response.done")
        assert reply[-1]["response"]["output_modalities"] == ["text"]
        assert reply[-1]["response"]["output"][0]["content"][0]["text"] == "Hello there." * 3
        assert reply[2]["previous_item_id"] == added["item"]["id"]
        assert not any("audio" in kind for kind in types(reply))
        await connection.conversation.item.truncate(item_id="item_reply1", content_index=0, audio_end_ms=10)
        await frames_until(connection, "conversation.item.truncated")
        await connection.conversation.item.delete(item_id=added["item"]["id"])
        await frames_until(connection, "conversation.item.deleted")


async def test_a_cancelled_reply_is_whole_on_the_wire() -> None:
    async with (
        running(Script(hold_reply=True)) as gateway,
        client(gateway) as sdk,
        sdk.realtime.connect(model="any") as connection,
    ):
        await connection.response.create()
        await frames_until(connection, "response.output_audio.delta")
        await connection.response.cancel()
        reply = await frames_until(connection, "response.done")
        assert types(reply)[-6:] == RESPONSE_ORDER[-6:]
        assert reply[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        assert reply[-1]["response"]["output"][0]["status"] == "incomplete"
        await connection.response.cancel()
        failed = (await frames_until(connection, "error"))[-1]
        assert failed["error"]["code"] == "response_cancel_not_active"
        assert failed["error"]["message"].startswith("Cancellation failed")
