"""One scripted caller on the Realtime wire: speaks in real time, never hangs silent, and writes everything down."""

import asyncio
import base64
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voicectl.bench.call_record import RATE_HZ, CallRecord, ServerEvent, WireError
from voicectl.bench.outgoing import SILENT_FRAME, Outgoing, at_wire_rate
from voicectl.bench.turns import Spoken, TurnEvidence, TurnReport, report_turn
from voicectl.core.audio import Samples, float_to_pcm16
from voicectl.core.errors import VoicectlError
from voicectl.core.rollout import REFUSAL_CODES

ANSWER_TIMEOUT_S: Final = 10.0
"""How long a caller waits for a sign of life from the agent, after its own last word."""
SETTLED_S: Final = 0.4
"""A turn is over when nothing has happened for this long after the reply was played out."""
OPENING_SILENCE_S: Final = 0.3
CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
PING_INTERVAL_S: Final = 0.5
MAX_MESSAGE_BYTES: Final = 16_000_000
_KEY_STATUSES: Final = (401, 403)
_POLL_S: Final = 0.02


def _append(frame: Samples) -> str:
    audio = base64.b64encode(float_to_pcm16(frame)).decode("ascii")
    return f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'


_SILENT_APPEND: Final = _append(SILENT_FRAME)
"""Most frames of a call are silence: encoded once, they cost a load generator nothing."""


class GatewayUnreachable(VoicectlError):
    """There is no gateway at the URL, or the call was lost."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Listener:
    """What wants to know of a call while it goes on. Both are called on the event loop and must not block."""

    on_event: Callable[[ServerEvent], None] = lambda event: None
    on_audio: Callable[[Samples], None] = lambda samples: None


class Caller:
    """A call in progress; `connect` makes one.

    Frame n holds the sound of [n, n+1) × 20 ms and leaves when it is complete, as a microphone's does:
    the sample at stream position p was spoken at `origin + p`, however late its frame went out.
    """

    def __init__(self, socket: ClientConnection, listener: Listener) -> None:
        self.record = CallRecord()
        self._socket = socket
        self._listener = listener
        self._outgoing = Outgoing()
        self._round_trips: list[float] = []
        self._lost: VoicectlError | None = None
        self._configured = asyncio.Event()

    @property
    def rtt_s(self) -> float | None:
        """Return the median round trip to the gateway; None before the first."""
        return statistics.median(self._round_trips) if self._round_trips else None

    @property
    def late_s(self) -> list[float]:
        """Return how late each frame left, seconds."""
        return self._outgoing.late_s

    @property
    def worst_late_ms(self) -> float:
        """Return how late the latest frame left: above some 10 ms this machine is too busy to measure."""
        return self._outgoing.worst_late_s * 1000

    async def speak(self, samples: Samples, rate: int, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> TurnReport:
        """Say mono `samples`, shape (n,), in real time, hear the answer to its end, and measure the turn.

        Returns without an answer after `answer_timeout_s` of nothing. Raises GatewayUnreachable.
        """
        marks = _Marks.of(self.record)
        spoken = await self.say(samples, rate)
        await self._until(spoken.began_at + spoken.samples.size / RATE_HZ)
        await self._settled(marks, answer_timeout_s)
        return self._report(marks, spoken)

    async def write(self, text: str, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> TurnReport:
        """Send a turn as text and hear the answer to its end. Raises GatewayUnreachable."""
        marks = _Marks.of(self.record)
        await self.ask(text)
        await self._settled(marks, answer_timeout_s)
        return self._report(marks, None, heard=text)

    async def say(self, samples: Samples, rate: int) -> Spoken:
        """Begin to say mono `samples` with the next frame, whoever speaks; return when they are spoken."""
        # In a thread: the frames in between must leave on time.
        return self._outgoing.say(await asyncio.to_thread(at_wire_rate, samples, rate))

    async def ask(self, text: str) -> None:
        """Send a turn as text and want an answer, without waiting for it."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self._send({"type": "conversation.item.create", "item": item})
        await self._send({"type": "response.create"})

    async def retrieve(self, item_id: str) -> None:
        """Ask for an entry of the conversation; the answer, or an `error`, is an event."""
        await self._send({"type": "conversation.item.retrieve", "item_id": item_id})

    async def cancel(self) -> None:
        """Stop the reply in progress; does nothing when there is none."""
        if self.record.active is not None:
            await self._send({"type": "response.cancel"})

    async def listen(self, microphone: asyncio.Queue[Samples], stopped: asyncio.Event) -> AsyncIterator[TurnReport]:
        """Say what the microphone (24 kHz) gives until `stopped`; yield each turn when its reply is done."""
        marks, position = _Marks.of(self.record), self._outgoing.num_sent
        while not stopped.is_set():
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    self._outgoing.queued.append(microphone.get_nowait())
            await asyncio.sleep(_POLL_S)
            self._raise_if_lost()
            if self.record.num_responses == marks.num_responses or self._agent_busy():
                continue
            yield self._report(marks, self._outgoing.since(position))
            marks, position = _Marks.of(self.record), self._outgoing.num_sent

    def mixdown(self) -> Samples:
        """Return the conversation on one timeline, 24 kHz, shape (n, 2): caller left, agent right."""
        caller = np.concatenate([*self._outgoing.sent, np.zeros(0, dtype=np.float32)])
        agent = self.record.agent_track(self._outgoing.origin_at, caller.size)
        mix: Samples = np.zeros((agent.size, 2), dtype=np.float32)
        mix[: caller.size, 0] = caller
        mix[:, 1] = agent
        return mix

    # --- the wire ---------------------------------------------------------------------------

    async def configure(self, instructions: str | None, max_reply_tokens: int | None = None) -> None:
        """Agree on the formats and wait until the server has. Raises GatewayUnreachable."""
        pcm = {"type": "audio/pcm", "rate": RATE_HZ}
        session: dict[str, Any] = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {"input": {"format": pcm}, "output": {"format": pcm}},
        }
        if instructions is not None:
            session["instructions"] = instructions
        if max_reply_tokens is not None:
            session["max_output_tokens"] = max_reply_tokens
        await self._send({"type": "session.update", "session": session})
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._configured.wait()
        except TimeoutError as error:
            told = "; ".join(self.record.errors) or "no answer to session.update"
            raise GatewayUnreachable(f"the gateway did not accept the session: {told}") from error
        self._raise_if_lost()

    async def send_microphone(self) -> None:
        """Send frames on absolute deadlines, silence where nothing is to be said, until cancelled."""
        out = self._outgoing
        out.origin_at = time.monotonic()
        while self._lost is None:
            due_at = out.next_due_at
            await self._until(due_at)
            frame = out.next_frame()
            out.mark_sent(frame, time.monotonic() - due_at)
            await self._send_text(_SILENT_APPEND if frame is SILENT_FRAME else _append(frame))

    async def receive(self) -> None:
        """Take in server events until the connection ends."""
        try:
            while True:
                message = await self._socket.recv()
                self._take(message, time.monotonic())
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else "none"
            self._lose(GatewayUnreachable(f"the gateway ended the call (close code {code})"))
        except WireError as error:
            self._lose(error)

    async def ping(self) -> None:
        """Measure the round trip again and again, until cancelled."""
        try:
            while self._lost is None:
                self._round_trips.append(await (await self._socket.ping()))
                await asyncio.sleep(PING_INTERVAL_S)
        except ConnectionClosed:
            return

    def _take(self, message: str | bytes, at: float) -> None:
        try:
            event = msgspec.json.decode(message)
        except (msgspec.DecodeError, ValueError) as error:
            raise WireError(f"the server sent {message[:60]!r}, which is no JSON") from error
        if not isinstance(event, dict):
            raise WireError(f"the server sent {message[:60]!r}, which is no event")
        audio = self.record.note(event, at)
        if event.get("type") == "session.updated":
            self._configured.set()
        self._listener.on_event(event)
        if audio is not None:
            self._listener.on_audio(audio)

    async def _send(self, event: dict[str, Any]) -> None:
        await self._send_text(json.dumps(event))

    async def _send_text(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except ConnectionClosed:
            # The receiver sees the same and knows the reason.
            return

    def _lose(self, error: VoicectlError) -> None:
        self._lost = error
        self._configured.set()

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise self._lost

    # --- waiting ----------------------------------------------------------------------------

    async def _until(self, at: float) -> None:
        while (left := at - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1.0))
            if self._lost is not None:
                return

    def _agent_busy(self) -> bool:
        record = self.record
        now = time.monotonic()
        waiting = record.speaking or record.active is not None or now < record.played_until
        return waiting or now - max(record.last_event_at, record.played_until) < SETTLED_S

    async def _settled(self, marks: "_Marks", answer_timeout_s: float) -> None:
        """Wait until the reply was played out, or until nothing has happened for `answer_timeout_s`."""
        ended_at = time.monotonic()
        while True:
            self._raise_if_lost()
            now = time.monotonic()
            record = self.record
            if record.num_responses > marks.num_responses and not self._agent_busy():
                return
            if now - max(ended_at, record.last_event_at, record.played_until) > answer_timeout_s:
                return
            await asyncio.sleep(_POLL_S)

    def _report(self, marks: "_Marks", spoken: Spoken | None, heard: str | None = None) -> TurnReport:
        record = self.record
        committed = record.committed[marks.num_committed :]
        return report_turn(
            TurnEvidence(
                heard=record.heard(marks.num_transcripts) if heard is None else heard,
                replies=record.replies(marks.num_responses),
                rate=RATE_HZ,
                spoken=spoken,
                committed_at=committed[-1] if committed else None,
                rtt_s=self.rtt_s,
            )
        )


@dataclass(frozen=True, slots=True)
class _Marks:
    """How far the record was when a turn began."""

    num_responses: int
    num_transcripts: int
    num_committed: int

    @classmethod
    def of(cls, record: CallRecord) -> "_Marks":
        return cls(record.num_responses, record.num_transcripts, len(record.committed))


def _refusal(error: Exception) -> tuple[str, str] | None:
    """Return code and message of a gateway that answered the upgrade with a problem."""
    if not isinstance(error, InvalidStatus):
        return None
    try:
        problem = json.loads(error.response.body or b"")["error"]
        return str(problem["code"]), str(problem["message"])
    except (ValueError, KeyError, TypeError):
        return None


def _reason(error: Exception) -> str:
    refusal = _refusal(error)
    return str(error) if refusal is None else f"{error}: {refusal[0]}: {refusal[1]}"


def _hint_for(error: Exception) -> str:
    refusal = _refusal(error)
    if refusal is not None and refusal[0] in REFUSAL_CODES:
        return "`voicectl gate status` on the host tells which use cases are open; name one with ?use_case= in the URL"
    if isinstance(error, InvalidStatus) and error.response.status_code in _KEY_STATUSES:
        return "the gateway wants a key: set VOICECTL_API_KEY to one of `voicectl keys create`"
    return "is `voicectl serve` running there? Without --server, talk starts its own"


@asynccontextmanager
async def connect(
    url: str,
    *,
    model: str = "voicectl",
    timings: bool = True,
    probe: bool = False,
    instructions: str | None = None,
    max_reply_tokens: int | None = None,
    listener: Listener | None = None,
    api_key: str | None = None,
) -> AsyncIterator[Caller]:
    """Call the gateway at `url` and hang up at the end of the block. Raises GatewayUnreachable.

    A `probe` is a test: the gateway's figures and evidence leave it out.
    """
    address = realtime_url(url, model=model, timings=timings, probe=probe)
    try:
        socket = await websocket_connect(
            address,
            additional_headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
            open_timeout=CONNECT_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            compression=None,
            ping_interval=None,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise GatewayUnreachable(f"no call to {url}: {_reason(error)}", hint=_hint_for(error)) from error
    caller = Caller(socket, listener or Listener())
    failure: VoicectlError | None = None
    async with socket, asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(caller.receive())]
        try:
            await caller.configure(instructions, max_reply_tokens)
            running += [tasks.create_task(caller.send_microphone()), tasks.create_task(caller.ping())]
            await asyncio.sleep(OPENING_SILENCE_S)
            yield caller
        except VoicectlError as error:
            # Kept aside: the task group would wrap it in a group, and a command could not name it.
            failure = error
        finally:
            for task in running:
                task.cancel()
    if failure is not None:
        raise failure


def realtime_url(url: str, *, model: str, timings: bool, probe: bool) -> str:
    """Return the WebSocket URL of a gateway, given that URL, its http form, or host and port alone.

    A path and a query that are given stay; a model of the query's own comes before `model`, an empty one is left out.
    """
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in {"ws", "wss"} or not parts.netloc:
        raise GatewayUnreachable(f"{url!r} is no gateway's URL", hint="for example ws://127.0.0.1:8080")
    path = parts.path if parts.path.strip("/") else "/v1/realtime"
    query = {**({"model": model} if model else {}), **dict(parse_qsl(parts.query))}
    if timings:
        query["voicectl_timings"] = "1"
    if probe:
        query["voicectl_attribute.probe"] = "1"
    return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))
