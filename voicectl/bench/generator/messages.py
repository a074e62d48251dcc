"""What passes between the bench and its worker processes: length-prefixed msgpack of known shapes only."""

import asyncio
import struct
from typing import Final

import msgspec

from voicectl.bench.run_record import CallSample, TurnSample
from voicectl.bench.workload.ready import ReadyWorkload

MAX_MESSAGE_BYTES: Final = 512_000_000
"""A workload with all its sounds is the largest message."""
_LENGTH: Final = struct.Struct("<I")


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Anything on the pipe."""


class Assignment(Message, frozen=True):
    """What a worker is to do. `starts` are its calls, by number and second; with `slots` it calls without end.

    `greeting` is the event that a call begins with; `secure` that it goes over TLS, believing `ca_file` too. A slot is
    one of the concurrent callers of a closed loop; its calls have the numbers slot + n × `stride`.
    """

    address: str
    headers: dict[str, str]
    workload: ReadyWorkload
    seed: int
    greeting: str
    beta: bool
    secure: bool
    ca_file: str | None
    answer_timeout_s: float
    connect_timeout_s: float
    duration_s: float
    starts: tuple[tuple[int, float], ...] = ()
    slots: tuple[int, ...] = ()
    stride: int = 1
    max_calls: int = 10_000
    max_concurrent: int = 1_000


class Go(Message, frozen=True):
    """Begin: the run's zero on the machine's monotonic clock."""

    epoch_at: float


class Stop(Message, frozen=True):
    """End every call now, in order."""

    words: str


class Ready(Message, frozen=True):
    """All sounds are encoded."""

    num_frames: int


class CallBegan(Message, frozen=True):
    """A call asks for its connection."""

    call: int


class TurnOver(Message, frozen=True):
    """A turn was measured; what was understood of it may still be missing."""

    call: int
    turn: TurnSample


class CallOver(Message, frozen=True):
    """A call ended. `server` is what the server said of itself."""

    sample: CallSample
    server: dict[str, str]


class Finished(Message, frozen=True):
    """The worker has no call left: how late its frames and starts were, each `stride`-th, and its busiest stretch."""

    lag_s: tuple[float, ...]
    stride: int
    cpu_share: float


ToWorker = Assignment | Go | Stop
FromWorker = Ready | CallBegan | TurnOver | CallOver | Finished

_ENCODER: Final = msgspec.msgpack.Encoder()
_TO_WORKER: Final = msgspec.msgpack.Decoder(ToWorker)
_FROM_WORKER: Final = msgspec.msgpack.Decoder(FromWorker)


def packed(message: Message) -> bytes:
    """Return a message as it goes on the pipe."""
    body = _ENCODER.encode(message)
    return _LENGTH.pack(len(body)) + body


async def to_worker(pipe: asyncio.StreamReader) -> ToWorker | None:
    """Read what the bench says; None when it has gone."""
    body = await _body(pipe)
    return None if body is None else _TO_WORKER.decode(body)


async def from_worker(pipe: asyncio.StreamReader) -> FromWorker | None:
    """Read what a worker says; None when it has gone. Raises msgspec.DecodeError for anything else."""
    body = await _body(pipe)
    return None if body is None else _FROM_WORKER.decode(body)


async def _body(pipe: asyncio.StreamReader) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))
        if length > MAX_MESSAGE_BYTES:
            raise msgspec.DecodeError(f"a message of {length} bytes")
        return await pipe.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
