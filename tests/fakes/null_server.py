"""A Realtime server without models, in a process of its own: known delays, known faults, and a log of the truth.

It hears by level, takes the last loud sample as the end of the caller's words, and answers a drawn time later.
The instant of that sample comes from the stream alone: the least delayed frame tells when the stream began, of all
that have come so far for when to answer, and of all frames of the call for the log.
`true_s` of a turn is from there to the write of the first audible sample, whenever that was: the server's own
lateness, and a stall of the whole process, are part of the truth that a bench must find.
"""

import asyncio
import base64
import json
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

RATE = 24_000
FRAME = 480
LEVEL = 0.02
LEAD_FRAMES = 3

FAULTS = (
    *("http-503", "reset-on-connect", "hang-on-connect", "no-websocket", "no-session", "session-error"),
    *("reset", "close", "beta", "malformed", "not-json", "no-type", "wrong-fields", "binary", "broken-frame"),
    *("silent", "deaf", "cut-in", "hang"),
)


@dataclass(frozen=True)
class Script:
    """How the server behaves. `delay` is ("constant", s), ("lognormal", median s, sigma) or ("bimodal", a, b, share).

    `stalls` are (seconds from the first connection, seconds): the whole process stands still. `fault` strikes
    in every `every`-th call, from turn `from_turn` on; a call may also name its fault as the model of its URL.
    A reply of `reply_s` comes at the pace of speech or, with `burst`, at once. `barge_in_s` is from the first
    loud frame of an interruption to the end of the reply. `tls` are the files of a certificate and its key; with
    `beta` the server speaks, and wants to be spoken to, as before GA.
    """

    delay: tuple[Any, ...] = ("constant", 0.3)
    seed: int = 0
    pause_s: float = 0.1
    reply_s: float = 0.3
    lead_in_s: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    fault: str | None = None
    every: int = 1
    from_turn: int = 0
    burst: bool = False
    barge_in_s: float = 0.06
    timings: bool = True
    heard: str = "some words"
    api_key: str | None = None
    tls: tuple[str, str] | None = None
    path: str = "/v1/realtime"
    beta: bool = False

    def delay_s(self, call: int, turn: int) -> float:
        """Draw the delay of one turn."""
        random = np.random.default_rng([self.seed, call, turn])
        kind, *values = self.delay
        match kind:
            case "constant":
                return float(values[0])
            case "lognormal":
                return float(values[0] * np.exp(values[1] * random.standard_normal()))
            case "bimodal":
                return float(values[1] if random.random() < values[2] else values[0])
        raise ValueError(kind)


@dataclass(frozen=True)
class TrueTurn:
    """One answer, by the server's own account; instants on the machine's monotonic clock."""

    call: int
    turn: int
    drawn_s: float
    voiced_at: float
    true_s: float


@dataclass
class NullServer:
    """The server seen from a test. `turns` is complete once the block that started it has ended."""

    url: str
    pid: int
    turns: list[TrueTurn] = field(default_factory=list)
    stops_s: list[float] = field(default_factory=list)
    stalled_s: list[float] = field(default_factory=list)
    num_calls: int = 0
    cores: float = 0.0


@asynccontextmanager
async def null_server(script: Script | None = None) -> AsyncIterator[NullServer]:
    """Run a null server for the length of a block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asdict(script or Script())).encode() + b"\n")
    port = json.loads(await process.stdout.readline())["port"]
    server = NullServer(f"{'wss' if script and script.tls else 'ws'}://127.0.0.1:{port}", process.pid)
    try:
        yield server
    finally:
        process.stdin.close()
        told = json.loads(await process.stdout.readline())
        server.turns = [TrueTurn(*turn) for turn in told["turns"]]
        server.stops_s = told["stops_s"]
        server.stalled_s = told["stalled_s"]
        server.num_calls = told["calls"]
        server.cores = told["cores"]
        await process.wait()


# --- the process ----------------------------------------------------------------------------


def _audio(samples: np.ndarray) -> str:
    return base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()


SILENT = f'{{"type":"input_audio_buffer.append","audio":"{_audio(np.zeros(FRAME))}"}}'.encode()
TONE = [_audio(0.3 * np.sin(2 * np.pi * 500 * (np.arange(FRAME) + 7) / RATE))] * 50
QUIET = _audio(np.zeros(FRAME))
BETA = {"response.output_audio.delta": "response.audio.delta"}


@dataclass
class House:
    """What all calls share."""

    script: Script
    answers: list[tuple["Call", int, float, float, float]] = field(default_factory=list)
    stops_s: list[float] = field(default_factory=list)
    stalled_s: list[float] = field(default_factory=list)
    calls: int = 0

    def turns(self) -> list[tuple[int, int, float, float, float]]:
        """Return the fields of every `TrueTurn`."""
        told = []
        for call, turn, drawn_s, position_s, sounded_at in self.answers:
            voiced_at = call.origin_at + position_s
            told.append((call.number, turn, drawn_s, voiced_at, sounded_at - voiced_at))
        return told

    def arrive(self) -> int:
        """Count a connection; the first one starts the clock of the stalls."""
        if self.calls == 0:
            loop = asyncio.get_running_loop()
            for at_s, for_s in self.script.stalls:
                loop.call_later(at_s, self.stand_still, for_s)
        self.calls += 1
        return self.calls - 1

    def stand_still(self, for_s: float) -> None:
        """Stop the whole process, and note for how long it really stood."""
        began_at = time.monotonic()
        time.sleep(for_s)
        self.stalled_s.append(time.monotonic() - began_at)


class Call(asyncio.Protocol):
    """One connection."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.script = house.script
        self.protocol = ServerProtocol(max_size=2**24)
        self.number = -1
        self.named = house.script.fault
        self.turn = 0
        self.position = 0
        self.origin_at = float("inf")
        self.last_loud: int | None = None
        self.onset_at: float | None = None
        self.replying: asyncio.TimerHandle | None = None
        self.response: str | None = None
        self.frames_left = 0
        self.frames_at = 0.0

    def fault(self, *names: str) -> bool:
        script = self.script
        return self.named in names and self.number % script.every == 0 and self.turn >= script.from_turn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.number = self.house.arrive()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.replying is not None:
            self.replying.cancel()

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.answer_handshake(event)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.take(bytes(event.data), at)
        self.flush()
        if self.protocol.state is State.CLOSING or self.protocol.state is State.CLOSED:
            self.transport.close()

    def eof_received(self) -> None:
        self.protocol.receive_eof()

    def flush(self) -> None:
        for piece in self.protocol.data_to_send():
            self.transport.write(piece) if piece else self.transport.close()

    def answer_handshake(self, request: Request) -> None:
        asked_for = parse_qs(urlsplit(request.path).query).get("model", [""])[0]
        is_beta = "OpenAI-Beta" in request.headers
        self.named = asked_for if asked_for in FAULTS else self.script.fault
        wanted = self.script.api_key
        if self.fault("reset-on-connect"):
            self.reset()
            return
        if self.fault("no-websocket"):
            self.transport.write(b"220 mail.example.org ready\r\n")
            return
        if self.fault("hang-on-connect"):
            return
        if self.fault("http-503"):
            self.protocol.send_response(self.protocol.reject(503, "full\n"))
        elif urlsplit(request.path).path != self.script.path or is_beta != self.script.beta:
            self.protocol.send_response(self.protocol.reject(404, "not here\n"))
        elif wanted is not None and request.headers.get("Authorization") != f"Bearer {wanted}":
            self.protocol.send_response(self.protocol.reject(401, "no key\n"))
        else:
            self.protocol.send_response(self.protocol.accept(request))
            self.flush()
            self.send("session.created", session={"type": "realtime", "id": "sess_null", "model": "null"})

    def take(self, message: bytes, at: float) -> None:
        if message == SILENT:
            self.hear(None, at)
            return
        event = msgspec.json.decode(message)
        match event["type"]:
            case "input_audio_buffer.append":
                self.hear(base64.b64decode(event["audio"]), at)
            case "session.update" if self.fault("session-error"):
                self.send("error", error={"type": "invalid_request_error", "message": "no such session"})
            case "session.update" if ("modalities" in event["session"]) != self.script.beta:
                self.send("error", error={"type": "invalid_request_error", "message": "of another protocol"})
            case "session.update" if not self.fault("no-session"):
                self.send("session.updated", session=event["session"])

    def hear(self, pcm: bytes | None, at: float) -> None:
        if pcm is not None:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2")) > LEVEL * 32768)
            if loud.size:
                if self.last_loud is None:
                    self.begin_turn(at, self.position + int(loud[0]))
                self.last_loud = self.position + int(loud[-1])
        self.position += FRAME
        self.origin_at = min(self.origin_at, at - self.position / RATE)
        if self.last_loud is not None and self.position - self.last_loud > self.script.pause_s * RATE:
            self.end_turn(self.last_loud)
            self.last_loud = None

    def begin_turn(self, at: float, first: int) -> None:
        self.send("input_audio_buffer.speech_started", item_id=f"item_{self.turn}")
        onset_at = min(self.origin_at, at - (self.position + FRAME) / RATE) + first / RATE
        if self.response is not None:
            asyncio.get_running_loop().call_later(self.script.barge_in_s, self.interrupt, onset_at)
        elif self.fault("cut-in"):
            self.replying = asyncio.get_running_loop().call_later(0.1, self.reply, None, 0.0, 0.0)

    def interrupt(self, onset_at: float) -> None:
        if self.response is not None:
            self.house.stops_s.append(time.monotonic() - onset_at)
            self.finish("cancelled")

    def end_turn(self, last_loud: int) -> None:
        item, voiced_at = f"item_{self.turn}", self.origin_at + last_loud / RATE
        self.send("input_audio_buffer.speech_stopped", item_id=item)
        self.send("input_audio_buffer.committed", item_id=item)
        heard = {"item_id": item, "content_index": 0, "transcript": self.script.heard}
        self.send("conversation.item.input_audio_transcription.completed", **heard)
        if self.fault("reset"):
            self.reset()
        elif self.fault("close"):
            self.protocol.send_close(1011, "out of order")
            self.flush()
        elif self.fault("hang"):
            self.transport.pause_reading()
        elif self.fault("binary"):
            self.raw(b"\x00\x01", Opcode.BINARY)
        elif self.fault("broken-frame"):
            self.transport.write(b"\xff\xff\xff\xff")
        elif self.fault("not-json"):
            self.raw(b"{not json")
        elif self.fault("no-type"):
            self.raw(b'{"kind": "event"}')
        elif self.fault("malformed"):
            self.send("response.output_audio.delta", response_id="never-began", delta="AAAAAAAA")
        elif self.fault("wrong-fields"):
            self.send("response.created", response=["a", "list"])
        elif not self.fault("deaf") and not (self.named == "cut-in" and self.response is not None):
            delay_s = self.script.delay_s(self.number, self.turn)
            loop = asyncio.get_running_loop()
            self.committed_at = time.monotonic()
            answer_at = voiced_at + delay_s - self.script.lead_in_s
            self.replying = loop.call_at(answer_at, self.reply, voiced_at, last_loud / RATE, delay_s)
        self.turn += 1

    def reply(self, voiced_at: float | None, position_s: float, delay_s: float) -> None:
        """Send the first sound, and the rest as fast as it is spoken or at once."""
        self.response = f"resp_{self.number}_{self.turn}_{self.position}"
        self.send("response.created", response={"id": self.response, "status": "in_progress"})
        self.frames_left = round(self.script.reply_s / 0.02)
        for _ in range(round(self.script.lead_in_s / 0.02)):
            self.say(QUIET)
        self.frames_at = self.first_at = time.monotonic()
        if voiced_at is not None and not self.fault("silent"):
            sounded_at = self.first_at + self.script.lead_in_s
            self.house.answers.append((self, self.turn - 1, delay_s, position_s, sounded_at))
        self.voiced_at = voiced_at
        for _ in range(self.frames_left if self.script.burst else min(LEAD_FRAMES, self.frames_left)):
            self.speak()
        self.replying = asyncio.get_running_loop().call_at(self.frames_at + 0.02, self.go_on)

    def go_on(self) -> None:
        if self.response is None:
            return
        if self.frames_left == 0:
            self.finish("completed")
            return
        self.speak()
        self.frames_at += 0.02
        self.replying = asyncio.get_running_loop().call_at(self.frames_at + 0.02, self.go_on)

    def speak(self) -> None:
        self.frames_left -= 1
        self.say(QUIET if self.fault("silent") else TONE[self.frames_left % len(TONE)])

    def say(self, delta: str) -> None:
        kind = "response.output_audio.delta"
        kind = BETA[kind] if self.script.beta or self.fault("beta") else kind
        self.send(kind, response_id=self.response, delta=delta)

    def finish(self, status: str) -> None:
        done: dict[str, Any] = {"id": self.response, "status": status, "output": [], "metadata": None}
        if self.script.timings and self.voiced_at is not None:
            done["metadata"] = {"voicectl.times": json.dumps(self.times())}
        transcript = {"type": "output_audio", "transcript": "A tone."}
        done["output"] = [{"type": "message", "role": "assistant", "content": [transcript]}]
        self.response = None
        if self.replying is not None:
            self.replying.cancel()
        self.send("response.done", response=done)

    def times(self) -> dict[str, float | None]:
        assert self.voiced_at is not None
        names = ("transcribed_at", "first_clause_at", "committed_at")
        return {
            "last_voiced_position_s": self.voiced_at - self.origin_at,
            "last_voiced_at": self.voiced_at,
            **dict.fromkeys(names, self.committed_at),
            "first_audio_at": self.first_at,
            "first_sent_at": self.first_at,
            "session_now": time.monotonic(),
        }

    def send(self, kind: str, **fields: Any) -> None:
        self.raw(msgspec.json.encode({"type": kind, "event_id": "event_0", **fields}))

    def raw(self, message: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        if self.protocol.state is State.OPEN:
            self.transport.write(Frame(opcode, message).serialize(mask=False))

    def reset(self) -> None:
        """End the connection without any farewell: a TCP reset."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def serve(script: Script) -> None:
    house = House(script)
    loop = asyncio.get_running_loop()
    context = None
    if script.tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*script.tls)
    server = await loop.create_server(lambda: Call(house), "127.0.0.1", 0, backlog=1024, ssl=context)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    began_at = time.monotonic()
    await loop.run_in_executor(None, sys.stdin.read)
    used = os.times()
    told = {
        "turns": house.turns(),
        "stops_s": house.stops_s,
        "stalled_s": house.stalled_s,
        "calls": house.calls,
        "cores": (used.user + used.system) / (time.monotonic() - began_at),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    values = json.loads(sys.stdin.readline())
    values["delay"] = tuple(values["delay"])
    asyncio.run(serve(Script(**values)))


if __name__ == "__main__":
    main()
