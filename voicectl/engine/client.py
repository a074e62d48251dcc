"""The gateway's end of one worker: requests out, replies back to who waits. Knows no process and no socket."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Final

import structlog

from voicectl.core.errors import (
    DeadlineExceeded,
    EngineError,
    RequestCancelled,
    RequestRejected,
    WorkerDied,
)
from voicectl.core.ports import Priority
from voicectl.engine.messages import (
    STREAMED,
    Body,
    Cancel,
    Failed,
    FailureKind,
    Reply,
    ReplyBody,
    Request,
    encode,
)

GRACE_S: Final = 0.25
"""How much later than the worker's own answer the gateway gives up on it."""
MAX_PIECES: Final = 2_048
"""Pieces of a stream that wait for their reader; then the request is cancelled."""
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
UNREAD_S: Final = 0.25
"""How long a request is offered to a worker that takes none."""
SEND_AGAIN_S: Final = 0.01

_ERRORS: Final[dict[FailureKind, type[EngineError]]] = {
    "cancelled": RequestCancelled,
    "deadline": DeadlineExceeded,
    "rejected": RequestRejected,
    "internal": EngineError,
}

Send = Callable[[bytes], bool]
"""Hands a frame to the worker without waiting; False when too many wait already."""

log = structlog.get_logger(__name__)


class WorkerUnavailable(EngineError):
    """The worker is away for longer than a request waits for it."""


class _Exchange:
    """The replies of one request that its reader has not taken yet."""

    def __init__(self, request_id: int, send: Send) -> None:
        self.request_id = request_id
        self.send = send
        self.ended = False
        self._replies: asyncio.Queue[ReplyBody | EngineError] = asyncio.Queue()

    def put(self, body: ReplyBody) -> None:
        """Add a reply; ends the exchange unless more will follow."""
        self.ended = not isinstance(body, STREAMED)
        self._replies.put_nowait(body)

    def fail(self, error: EngineError) -> None:
        """End with an error behind the replies that came before."""
        self.ended = True
        self._replies.put_nowait(error)

    def is_full(self) -> bool:
        """Return whether the reader is too far behind."""
        return self._replies.qsize() >= MAX_PIECES

    async def take(self) -> ReplyBody:
        """Return the next reply. Raises what the request failed with."""
        body = await self._replies.get()
        if isinstance(body, EngineError):
            raise body
        if isinstance(body, Failed):
            raise _ERRORS[body.kind](body.message)
        return body


class WorkerClient:
    """Requests of this process to one worker, which may come and go.

    A request waits up to `max_wait_s` for a worker that is starting, and fails at once when its worker
    dies, when its time is up though the worker is silent, or when more than `max_requests` are open.
    """

    def __init__(self, name: str, *, max_requests: int, max_wait_s: float = math.inf) -> None:
        self._name = name
        self._max_requests = max_requests
        self._max_wait_s = max_wait_s
        self._send: Send | None = None
        self._refusal: EngineError | None = None
        # Set while a request need not wait: the worker is ready, or there will be none.
        self._decided = asyncio.Event()
        self._open: dict[int, _Exchange] = {}
        self._num_open = 0
        self._last_id = 0

    # --- for who asks ------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the worker."""
        return self._name

    @property
    def ready(self) -> bool:
        """Whether a request would be sent at once."""
        return self._send is not None

    @property
    def num_open(self) -> int:
        """How many requests are open, those that wait for the worker included."""
        return self._num_open

    async def wait_ready(self) -> None:
        """Return when the worker is ready. Raises the EngineError for which it never will be."""
        await self._decided.wait()
        if self._refusal is not None:
            raise self._refusal

    async def call(self, body: Body, *, priority: Priority = Priority.FINAL, timeout_s: float) -> ReplyBody:
        """Return the reply to a request that has one. Cancelling the call cancels the request.

        Raises WorkerDied, WorkerUnavailable, DeadlineExceeded, RequestRejected, RequestCancelled or EngineError.
        """
        async with contextlib.aclosing(self.stream(body, priority=priority, timeout_s=timeout_s)) as replies:
            async for reply in replies:
                return reply
        raise EngineError(f"worker {self._name} gave no reply to {type(body).__name__}")

    async def stream(
        self, body: Body, *, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncGenerator[ReplyBody, None]:
        """Yield the replies to a request, the terminal one last. Closing the iterator cancels the request.

        Raises as `call` does.
        """
        deadline_at = asyncio.get_running_loop().time() + timeout_s
        with self._counted():
            exchange = await self._begin(body, priority, deadline_at, timeout_s)
            guard = asyncio.get_running_loop().call_at(deadline_at + GRACE_S, self._expire, exchange, timeout_s)
            try:
                while True:
                    reply = await exchange.take()
                    yield reply
                    if not isinstance(reply, STREAMED):
                        return
            finally:
                guard.cancel()
                self._end(exchange)

    # --- for the supervisor ------------------------------------------------------------------

    def attach(self, send: Send) -> None:
        """Send requests from now on: the worker is ready."""
        self._send = send
        self._refusal = None
        self._decided.set()

    def detach(self, reason: str) -> None:
        """Fail what is in flight with WorkerDied; later requests wait for the next worker."""
        self._send = None
        if self._refusal is None:
            self._decided.clear()
        self._fail_open(lambda: WorkerDied(reason))

    def refuse(self, error: EngineError) -> None:
        """Fail what is open and every later request, until a worker is attached again."""
        self._send = None
        self._refusal = error
        self._fail_open(lambda: _copy(error))
        self._decided.set()

    def accept(self, reply: Reply) -> None:
        """Hand a reply to who waits for it; replies of requests that have ended are ignored."""
        exchange = self._open.get(reply.request_id)
        if exchange is None or exchange.ended:
            return
        if exchange.is_full():
            exchange.fail(EngineError(f"{MAX_PIECES} pieces of worker {self._name} wait for their reader"))
            self._cancel(exchange)
            return
        exchange.put(reply.body)

    # --- parts -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _counted(self) -> Generator[None, None, None]:
        if self._num_open >= self._max_requests:
            raise RequestRejected(f"{self._num_open} requests to worker {self._name} are open already")
        self._num_open += 1
        try:
            yield
        finally:
            self._num_open -= 1

    async def _sender(self, deadline_at: float, timeout_s: float) -> Send:
        give_up_at = min(deadline_at, asyncio.get_running_loop().time() + self._max_wait_s)
        while self._send is None:
            if self._refusal is not None:
                raise _copy(self._refusal)
            try:
                async with asyncio.timeout_at(give_up_at):
                    await self._decided.wait()
            except TimeoutError:
                if give_up_at < deadline_at:
                    raise WorkerUnavailable(f"worker {self._name} is away for {self._max_wait_s:.1f} s") from None
                raise DeadlineExceeded(f"worker {self._name} was not ready within {timeout_s:.2f} s") from None
        return self._send

    async def _begin(self, body: Body, priority: Priority, deadline_at: float, timeout_s: float) -> _Exchange:
        give_up_at: float | None = None
        while True:
            send = await self._sender(deadline_at, timeout_s)
            self._last_id += 1
            now = asyncio.get_running_loop().time()
            if send(_frame(self._last_id, body, priority, deadline_at - now)):
                exchange = _Exchange(self._last_id, send)
                self._open[exchange.request_id] = exchange
                return exchange
            # It has ended, of which the supervisor will hear at once, or it is stuck.
            give_up_at = now + UNREAD_S if give_up_at is None else give_up_at
            if now >= give_up_at:
                raise RequestRejected(f"worker {self._name} does not read its requests")
            await asyncio.sleep(SEND_AGAIN_S)

    def _end(self, exchange: _Exchange) -> None:
        self._open.pop(exchange.request_id, None)
        if not exchange.ended:
            exchange.ended = True
            self._cancel(exchange)

    def _expire(self, exchange: _Exchange, timeout_s: float) -> None:
        if not exchange.ended:
            exchange.fail(DeadlineExceeded(f"worker {self._name} did not answer within {timeout_s:.2f} s"))
            self._cancel(exchange)

    def _cancel(self, exchange: _Exchange) -> None:
        # A request of a worker that is gone needs no cancel, and must not reach its successor.
        if exchange.send is self._send and not exchange.send(encode(Cancel(exchange.request_id))):
            log.warning("cancel_dropped", worker=self._name, request_id=exchange.request_id)

    def _fail_open(self, error: Callable[[], EngineError]) -> None:
        for exchange in self._open.values():
            if not exchange.ended:
                exchange.fail(error())


def _frame(request_id: int, body: Body, priority: Priority, timeout_s: float) -> bytes:
    try:
        frame = encode(Request(request_id, int(priority), timeout_s, body))
    except (TypeError, ValueError, OverflowError) as error:
        # For example half a surrogate pair in a text, or a number beyond 64 bits.
        raise RequestRejected(f"{type(body).__name__} cannot be sent: {error}") from error
    if len(frame) > MAX_FRAME_BYTES:
        raise RequestRejected(f"a request of {len(frame)} bytes is too long; the limit is {MAX_FRAME_BYTES}")
    return frame


def _copy(error: EngineError) -> EngineError:
    """Return an equal error: one instance raised by many tasks would collect all their tracebacks."""
    copy = type(error).__new__(type(error))
    copy.__dict__.update(error.__dict__)
    copy.args = error.args
    return copy
