"""Malformed Realtime messages by the thousand: no crash, no leak, and another client notices nothing.

VOICECTL_FUZZ_MESSAGES sets how many; with more than the default the examples are new every time.
"""

import asyncio
import base64
import copy
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.fakes.conformance import validate_frame
from tests.fakes.conversation import RunningGateway, eventually, running, scripted_profile
from tests.fakes.ear import listener, speech
from tests.fakes.engine_ports import FakeLanguageModel, FakeSynthesizer, FakeTranscriber, FakeTurnDetector
from voicectl.core.clock import MonotonicClock
from voicectl.core.config import load_profile
from voicectl.service.calls.call import Call, CallEngine

pytestmark = [
    pytest.mark.integration,
    # The loop's thread pings with random payloads, which is not how the examples are made.
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning"),
]

DEFAULT_MESSAGES = 3000
NUM_MESSAGES = int(os.environ.get("VOICECTL_FUZZ_MESSAGES", DEFAULT_MESSAGES))
BATCH = 20
EXPECTED_CLOSES = {1002, 1003, 1007, 1009}
"""Close codes for what is no message at all: protocol error, unacceptable, not UTF-8, too big."""

AUDIO = "AAAA" * 160
LOUD = base64.b64encode(b"".join(speech(0.2))).decode()
PROFILE = load_profile("cpu")
VALID: list[dict[str, Any]] = [
    {
        "type": "session.update",
        "event_id": "event_1",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["audio"],
            "max_output_tokens": 50,
            "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
            "tool_choice": "auto",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "whisper-1", "language": "en", "prompt": "words"},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 500,
                        "create_response": True,
                        "interrupt_response": True,
                    },
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "joe", "speed": 1.0},
            },
        },
    },
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}},
    {"type": "input_audio_buffer.append", "event_id": "event_2", "audio": AUDIO},
    {"type": "input_audio_buffer.append", "audio": LOUD},
    {"type": "input_audio_buffer.commit", "event_id": "event_3"},
    {"type": "input_audio_buffer.clear", "event_id": "event_4"},
    {
        "type": "conversation.item.create",
        "event_id": "event_5",
        "previous_item_id": "item_1",
        "item": {"id": "item_2", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
    },
    {"type": "conversation.item.delete", "event_id": "event_6", "item_id": "item_2"},
    {"type": "conversation.item.retrieve", "event_id": "event_7", "item_id": "item_2"},
    {"type": "conversation.item.truncate", "item_id": "item_2", "content_index": 0, "audio_end_ms": 100},
    {
        "type": "response.create",
        "event_id": "event_8",
        "response": {
            "instructions": "Be brief.",
            "output_modalities": ["text"],
            "max_output_tokens": "inf",
            "metadata": {"key": "value"},
            "conversation": "auto",
            "tools": [],
            "input": None,
        },
    },
    {"type": "response.cancel", "event_id": "event_9", "response_id": "resp_1"},
]


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def own_objects() -> Counter[str]:
    """Count the living objects of our classes, of those that the collector tracks."""
    gc.collect()
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith(("voicectl.", "uvicorn.")))


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every node of a JSON document."""
    yield prefix
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from paths(inner, (*prefix, step))


PLACES = [(index, path) for index, event in enumerate(VALID) for path in paths(event)]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


JUNK: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        0.0,
        -0.5,
        2**31,
        2**63,
        2**64,
        -(2**63),
        10**400,
        1e308,
        float("nan"),
        float("inf"),
    ),
    *("", " ", "\x00", "\ud800", "é" * 100, "x" * 5000, "A" * 60_000, "AAA", "A=A=", "\u202e", "../../etc/passwd"),
    *("realtime", "audio/pcm", "server_vad", "none", "inf", "function_call", "NaN", "%s%n", "{}", "item_2", "resp_1"),
    *(
        [],
        {},
        [[]],
        [{}],
        [None],
        {"": None},
        {"type": None},
        {"type": "realtime"},
        {"__proto__": {"a": 1}},
        nested(90),
    ),
    *([1] * 1000, {str(number): number for number in range(300)}),
]
junk = st.one_of(
    st.sampled_from(JUNK),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=5), st.none()),
)


def changed(place: tuple[int, tuple[Any, ...]], how: str, value: Any) -> str:
    """Return a valid event that is wrong in one place."""
    index, path = place
    event = copy.deepcopy(VALID[index])
    if not path:
        return json.dumps(value if how == "replace" else {**event, "unknown": value})
    parent: Any = event
    for step in path[:-1]:
        parent = parent[step]
    last = path[-1]
    match how:
        case "replace":
            parent[last] = value
        case "remove":
            del parent[last]
        case "wrap":
            parent[last] = [parent[last]]
        case "add" if isinstance(parent, dict):
            parent[f"{last}_"] = value
        case "add":
            parent.append(value)
        case "rename" if isinstance(parent, dict):
            parent[str(value)[:50]] = parent.pop(last)
        case _:
            parent[last] = [parent[last]] * 20
    return json.dumps(event)


@dataclass(frozen=True)
class Frame:
    """What goes over the wire: text, bytes, or pieces of a fragmented message; `raw` text need not be UTF-8."""

    payload: str | bytes | list[str]
    raw: bool = False


hows = st.sampled_from(["replace", "replace", "remove", "wrap", "add", "rename", "repeat"])
events = st.builds(changed, st.sampled_from(PLACES), hows, junk)
texts = st.sampled_from([json.dumps(event) for event in VALID])


scalars = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
cuts = st.integers(0, 400)


def cut(text: str, at: int, between: str = "") -> Frame:
    """Return a valid event that stops too soon, or has something strange inside."""
    at %= len(text)
    return Frame(text[:at] + between + text[at:] if between else text[:at])


def torn(text: str, at: int) -> Frame:
    """Return a valid event in three fragments, one of them empty."""
    at %= len(text)
    return Frame([text[:at], "", text[at:]])


def huge(count: int) -> Frame:
    """Return an append far above the size that is allowed, for which the connection may be closed."""
    return Frame(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 600_000 * count}))


@st.composite
def mixed(draw: st.DrawFn, name: str) -> Any:
    """Draw from a mix by weights; `one_of` takes the same strategy given twice for one."""
    tickets = TICKETS[name]
    return draw(tickets[draw(st.integers(0, len(tickets) - 1))])


def weighted(*parts: tuple[int, st.SearchStrategy[Any]]) -> list[st.SearchStrategy[Any]]:
    return [strategy for weight, strategy in parts for _ in range(weight)]


FRAMES = weighted(
    (12, events.map(Frame)),
    (2, texts.map(Frame)),
    (1, st.builds(cut, texts, cuts)),
    (1, st.builds(cut, texts, cuts, scalars)),
    (1, st.builds(torn, texts, cuts)),
    (1, st.binary(max_size=64).map(Frame)),
    (1, scalars.map(Frame)),
    (1, st.sampled_from(["[", '{"a":', "[{", "\x00", "1e"]).map(lambda opening: Frame(opening * 20_000))),
)
LAST_WORDS = weighted(
    (12, st.none()),
    (1, st.integers(1, 5).map(huge)),
    (1, st.binary(max_size=16).map(lambda payload: Frame(b"\xff" + payload, raw=True))),
)


TICKETS = {"frames": FRAMES, "last words": LAST_WORDS}


@dataclass
class Arena:
    """A served gateway, one client who sends nonsense and one who does not, on a loop in a thread of its own."""

    loop: asyncio.AbstractEventLoop
    gateway: RunningGateway
    bystander: ClientConnection
    fuzzer: ClientConnection | None = None
    num_sent: int = 0
    num_closed: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    resident: list[int] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)
    longest_s: float = 0.0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def assault(self, batch: list[Frame]) -> None:
        """Send a batch; the session must answer afterwards, unless a frame was no message at all."""
        if self.fuzzer is None:
            self.fuzzer = await connect(self.gateway.realtime_url, compression=None, max_size=None, ping_interval=None)
        self.num_sent += len(batch)
        sync = f"sync_{self.num_sent}"
        try:
            for frame in batch:
                if frame.raw:
                    await self.fuzzer.send(frame.payload, text=True)
                else:
                    await self.fuzzer.send(frame.payload)
            probe = {"type": "conversation.item.retrieve", "item_id": f"no_{sync}", "event_id": sync}
            await self.fuzzer.send(json.dumps(probe))
            await self._answered(self.fuzzer, sync)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "the connection broke without a close frame"
            assert closed.rcvd.code in EXPECTED_CLOSES, closed.rcvd
            self.num_closed += 1
            self.fuzzer = None
        await self.unaffected()

    async def _answered(self, client: ClientConnection, sync: str) -> None:
        async with asyncio.timeout(10):
            while True:
                frame = json.loads(await client.recv())
                validate_frame(frame)
                if frame["type"] != "error":
                    continue
                error = frame["error"]
                assert error["type"] == "invalid_request_error", error
                self.codes[error["code"]] = self.codes.get(error["code"], 0) + 1
                if error["event_id"] == sync:
                    return

    async def unaffected(self) -> None:
        """The other client's session answers, and hears of nothing else."""
        asked_at = time.monotonic()
        async with asyncio.timeout(5):
            await self.bystander.send('{"type": "input_audio_buffer.clear"}')
            frame = json.loads(await self.bystander.recv())
        self.longest_s = max(self.longest_s, time.monotonic() - asked_at)
        assert frame["type"] == "input_audio_buffer.cleared", frame
        # The fake remembers all it was told; here that would look like a leak.
        for call in self.gateway.gateway.conversations:
            call.actions.clear()
            call.items.clear()
            call.audio = b""

    def measure(self) -> None:
        self.resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


@dataclass
class WatchedCall:
    """A real call over an engine without models, as the scripted gateway keeps its calls."""

    call: Call
    finished: bool = False
    actions: list[Any] = field(default_factory=list)
    items: dict[str, Any] = field(default_factory=dict)
    audio: bytes = b""

    async def run(self, actions: "asyncio.Queue[Any]", emit: Any) -> None:
        try:
            await self.call.run(actions, emit)
        finally:
            self.finished = True


def real_call(session_id: str) -> WatchedCall:
    engine = CallEngine(
        FakeTranscriber(["What time is it?"]), FakeTurnDetector(), FakeLanguageModel(), FakeSynthesizer()
    )
    return WatchedCall(Call(session_id, PROFILE, engine, listener(PROFILE), MonotonicClock()))


async def hold(ready: "asyncio.Future[Arena]", over: asyncio.Event, *, real: bool) -> None:
    """Serve until it is over; then nothing may be left of any connection."""
    before = asyncio.all_tasks()
    async with running(profile=scripted_profile(max_sessions=8)) as gateway:
        if real:
            calls: Any = gateway.gateway

            def open_conversation(session_id: str, **_: Any) -> WatchedCall:
                calls.conversations.append(real_call(session_id))
                return calls.conversations[-1]

            calls.open_conversation = open_conversation
        bystander = await connect(gateway.realtime_url, compression=None, ping_interval=None)
        assert json.loads(await bystander.recv())["type"] == "session.created"
        arena = Arena(asyncio.get_running_loop(), gateway, bystander)
        await arena.unaffected()
        living = own_objects()
        ready.set_result(arena)
        await over.wait()
        await arena.unaffected()
        if arena.fuzzer:
            await arena.fuzzer.close()
        calls = gateway.gateway.conversations
        await eventually(lambda: all(call.finished for call in calls[1:]))
        del calls[1:]
        # One client, as before: what is more by now is what thousands of messages left behind.
        for _ in range(20):
            left = {kind: count for kind, count in (own_objects() - living).items() if count > 2}
            if not left:
                break
            await asyncio.sleep(0.3)
        assert not left
        await bystander.close()
    await eventually(lambda: not [task for task in asyncio.all_tasks() - before if not task.done()])


@pytest.fixture
def failures() -> Iterator[list[Any]]:
    """Collect what is logged as an error, and keep the rest out of the way."""
    logged: list[Any] = []

    def collect(_: Any, __: str, event: Any) -> Any:
        logged.append(dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, collect],
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        cache_logger_on_first_use=False,
    )
    try:
        yield logged
    finally:
        structlog.configure(**before)


@pytest.fixture(params=["scripted calls", "real calls"])
def arena(request: pytest.FixtureRequest, failures: list[Any], caplog: pytest.LogCaptureFixture) -> Iterator[Arena]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="arena")
    thread.start()
    num_files = num_open_files()
    ready: asyncio.Future[Arena] = loop.create_future()
    over = asyncio.Event()
    holding = asyncio.run_coroutine_threadsafe(hold(ready, over, real=request.param == "real calls"), loop)

    async def begun() -> Arena:
        await asyncio.wait([ready, asyncio.wrap_future(holding)], return_when=asyncio.FIRST_COMPLETED)
        return ready.result() if ready.done() else holding.result()

    try:
        opened = asyncio.run_coroutine_threadsafe(begun(), loop).result(30)
        opened.failures = failures
        yield opened
        # Kept records keep the tracebacks, and those the connections that they went through.
        caplog.get_records("call").clear()
        loop.call_soon_threadsafe(over.set)
        holding.result(30)
        assert num_open_files() <= num_files
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.mark.timeout(60 + NUM_MESSAGES / 50)
def test_malformed_messages_hurt_neither_the_gateway_nor_another_client(arena: Arena) -> None:
    arena.measure()

    @settings(
        max_examples=max(1, NUM_MESSAGES // BATCH),
        deadline=None,
        database=None,
        derandomize=NUM_MESSAGES <= DEFAULT_MESSAGES,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(mixed("frames"), min_size=BATCH, max_size=BATCH), mixed("last words"))
    def assault(batch: list[Frame], last: Frame | None) -> None:
        arena.run(arena.assault([*batch, *([last] if last else [])]))
        if arena.num_sent > NUM_MESSAGES / 2 and len(arena.resident) == 1:
            arena.measure()

    assault()
    arena.measure()
    sys.stdout.write(
        f"{arena.num_sent} messages, {arena.num_closed} closes, errors {arena.codes}, resident {arena.resident},"
        f" the other client waited {arena.longest_s:.3f} s at most\n"
    )
    assert arena.failures == []
    assert arena.num_sent >= NUM_MESSAGES * 0.9
    # The nonsense was not all of one kind: each layer has refused some of it.
    assert {"invalid_json", "invalid_frame", "invalid_type", "unknown_parameter", "invalid_value"} <= set(arena.codes)


def handshake(port: int) -> bytes:
    return (
        f"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def throw(port: int, payload: bytes, *, upgraded: bool) -> None:
    """Send bytes that are no HTTP, or no WebSocket frames, and read until the gateway lets go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if upgraded:
            writer.write(handshake(port))
            await reader.readuntil(b"\r\n\r\n")
        writer.write(payload)
        writer.write_eof()
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.timeout(60 + NUM_MESSAGES / 50)
def test_bytes_that_are_no_protocol_at_all_hurt_nobody(arena: Arena) -> None:
    port = int(arena.gateway.url.rsplit(":", 1)[1])
    # First bytes that get past the outermost check: opcodes, reserved bits, lengths, masks.
    heads = st.sampled_from(
        [b"", b"\x81", b"\x82\x80", b"\x81\xfe\xff\xff", b"\x81\xff", b"\x89\xff", b"\x88\x81", b"GET /"]
    )

    @settings(
        max_examples=max(1, NUM_MESSAGES // 20),
        deadline=None,
        database=None,
        derandomize=NUM_MESSAGES <= DEFAULT_MESSAGES,
        suppress_health_check=list(HealthCheck),
    )
    @given(heads, st.binary(max_size=200), st.booleans())
    def assault(head: bytes, rest: bytes, upgraded: bool) -> None:
        arena.run(throw(port, head + rest, upgraded=upgraded))
        arena.run(arena.unaffected())

    assault()
    assert arena.failures == []
