import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Failed,
    Forget,
    FromWorker,
    Generate,
    MalformedMessage,
    Mark,
    Ping,
    Pong,
    PromptMessage,
    Ready,
    Reply,
    Request,
    SpeechPiece,
    StartFailed,
    ToWorker,
    Transcribe,
    decode_from_worker,
    decode_to_worker,
    encode,
)

TO_WORKER: list[ToWorker] = [
    Request(1, 0, 2.5, Transcribe(b"\0\1", "word")),
    Request(2, 1, 2.5, Generate("s", (PromptMessage("user", "hi"),), 5, 0.0, 0.9, 40, 0)),
    Cancel(7),
    Ping(1),
]
FROM_WORKER: list[FromWorker] = [
    Reply(1, SpeechPiece(b"\0\1", 22050, (Mark(0, 5, 0.0, 0.4),))),
    Reply(2, Failed("rejected", "full")),
    Ready(12, ("llm",)),
    StartFailed("no", "try", 5),
    Pong(1, 2),
]


@pytest.mark.parametrize("message", TO_WORKER)
def test_messages_to_a_worker_survive_the_wire(message: ToWorker) -> None:
    assert decode_to_worker(encode(message)) == message


@pytest.mark.parametrize("message", FROM_WORKER)
def test_messages_from_a_worker_survive_the_wire(message: FromWorker) -> None:
    assert decode_from_worker(encode(message)) == message


def test_other_protocol_versions_are_refused() -> None:
    with pytest.raises(MalformedMessage, match="version 2"):
        decode_to_worker(encode(Request(1, 0, 1.0, Forget("s"), version=PROTOCOL_VERSION + 1)))
    with pytest.raises(MalformedMessage, match="version 2"):
        decode_from_worker(encode(Ready(1, (), version=PROTOCOL_VERSION + 1)))


def test_unknown_fields_and_directions_are_refused() -> None:
    with pytest.raises(MalformedMessage):
        decode_to_worker(msgspec.msgpack.encode({"type": "Ping", "nonce": 1, "extra": 2}))
    for message in FROM_WORKER:
        with pytest.raises(MalformedMessage):
            decode_to_worker(encode(message))


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_else(frame: bytes) -> None:
    for decode in (decode_to_worker, decode_from_worker):
        with pytest.raises(MalformedMessage):
            decode(frame)


@given(st.sampled_from(TO_WORKER), st.data())
def test_damaged_frames_decode_or_are_malformed(message: ToWorker, data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_to_worker(bytes(frame))
    except MalformedMessage:
        return
