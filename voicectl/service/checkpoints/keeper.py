"""Hands conversations to a store without ever making a call wait. Knows sessions by name, not what they do."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from voicectl.core.checkpoint import ConversationState
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.service.checkpoints.codec import UnreadableCheckpoint, UnwritableCheckpoint, decode, encode
from voicectl.service.checkpoints.store import CheckpointStore, Entry
from voicectl.service.database import StorageUnavailable

log = structlog.get_logger(__name__)

MAX_BATCH: Final = 16
"""Conversations a write: encoding them holds up the event loop."""
MAX_SESSION_ID: Final = 128
MAX_ERROR: Final = 300
PURGE_S: Final = 30.0
FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 5.0
CLOSING_RETRY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class CheckpointHealth:
    """How well conversations are kept. Numbers count since the start; `num_pending` is now.

    `num_dropped` fell out of memory unwritten, `num_refused` were too large, `num_unreadable` could not be
    taken up. `last_error` is None while all is well.
    """

    state: Literal["ok", "failing"]
    place: str
    num_pending: int
    num_written: int
    num_failed_writes: int
    num_failed_reads: int
    num_dropped: int
    num_refused: int
    num_unreadable: int
    num_resumed: int
    last_error: str | None


@dataclass(slots=True)
class _Counts:
    written: int = 0
    failed_writes: int = 0
    failed_reads: int = 0
    dropped: int = 0
    refused: int = 0
    unreadable: int = 0
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A conversation that is not written yet. `taken_at` is on the monotonic clock."""

    state: ConversationState
    taken_at: float


def retry_delay_s(failures: int) -> float:
    """Return how long to leave a store alone after that many failures in a row."""
    return min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 16))


def may_resume(state: ConversationState, session_id: str, owner: str | None) -> bool:
    """Whether a client with the key `owner` may take up the conversation."""
    if state.session_id != session_id or (state.owner is None) != (owner is None):
        return False
    return hmac.compare_digest(*((name or "").encode(errors="surrogatepass") for name in (state.owner, owner)))


class CheckpointKeeper:
    """A CheckpointWriter over a store, as an async context manager; open and close it in the same task.

    The latest state of each session is written as soon as the store takes it. While the store is down the
    latest states wait, at most `max_pending` of them.
    """

    def __init__(
        self,
        store: CheckpointStore,
        settings: Checkpoints,
        *,
        clock: Clock | None = None,
        delay_s: Callable[[int], float] = retry_delay_s,
        redact: Callable[[ConversationState], ConversationState] | None = None,
    ) -> None:
        """`redact` returns a conversation as it may be written; in memory it stays as it is."""
        self._store = store
        self._settings = settings
        self._clock = clock or MonotonicClock()
        self._delay_s = delay_s
        self._redact = redact
        self._pending: dict[str, _Pending] = {}
        self._counts = _Counts()
        self._last_error: str | None = None
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._writer = self._group.create_task(self._write_all(), name="write checkpoints")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what is left for up to `flush_s` seconds, then end. May be called again."""
        group, self._group = self._group, None
        if group is None or self._writer is None:
            return
        self._closing.set()
        self._work.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.flush_s):
                    await self._writer
        finally:
            if self._pending:
                log.error("checkpoints_lost", sessions=len(self._pending), error=self._last_error)
            self._writer.cancel()
            await group.__aexit__(None, None, None)
            await self._store.close()

    def save(self, state: ConversationState) -> None:
        """Take over a state. Never waits and never raises."""
        # Popped first, so that the order of the dictionary is that of the last change.
        self._pending.pop(state.session_id, None)
        self._pending[state.session_id] = _Pending(state, self._clock.now())
        if len(self._pending) > self._settings.max_pending:
            del self._pending[next(iter(self._pending))]
            self._counts.dropped += 1
        self._work.set()

    async def load(self, session_id: str, owner: str | None) -> ConversationState | None:
        """Return the conversation for a client that comes back; waits `timeout_s` at most and never raises.

        None means there is none, its grace is over, it belongs to another key, it cannot be read, or the
        store does not answer.
        """
        if not 0 < len(session_id) <= MAX_SESSION_ID or not (session_id.isascii() and session_id.isprintable()):
            return None
        state = await self._find(session_id)
        if state is None:
            return None
        if not may_resume(state, session_id, owner):
            log.warning("checkpoint_owner_differs", session_id=session_id)
            return None
        self._counts.resumed += 1
        return state

    def health(self) -> CheckpointHealth:
        """Return how it goes."""
        counts = self._counts
        return CheckpointHealth(
            state="ok" if self._last_error is None else "failing",
            place=self._store.place,
            num_pending=len(self._pending),
            num_written=counts.written,
            num_failed_writes=counts.failed_writes,
            num_failed_reads=counts.failed_reads,
            num_dropped=counts.dropped,
            num_refused=counts.refused,
            num_unreadable=counts.unreadable,
            num_resumed=counts.resumed,
            last_error=self._last_error,
        )

    # --- reading ---------------------------------------------------------------------------------

    async def _find(self, session_id: str) -> ConversationState | None:
        pending = self._pending.get(session_id)
        if pending is not None:
            fresh = self._clock.now() - pending.taken_at < self._settings.grace_s
            return pending.state if fresh else None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                encoded = await self._store.read(session_id)
        except (StorageUnavailable, TimeoutError) as error:
            self._counts.failed_reads += 1
            log.warning("checkpoint_not_read", session_id=session_id, error=_brief(error))
            return None
        if encoded is None:
            return None
        try:
            return decode(encoded, max_bytes=self._settings.max_state_bytes)
        except UnreadableCheckpoint as error:
            self._counts.unreadable += 1
            log.warning("checkpoint_unreadable", session_id=session_id, error=_brief(error))
            return None

    # --- writing ---------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        """Write what is pending until the keeper closes and nothing is left."""
        failures = 0
        works = await self._try(self._store.purge())
        while True:
            failures = 0 if works else failures + 1
            await self._rest(failures)
            if self._pending:
                works = await self._write_batch()
            elif self._closing.is_set():
                return
            else:
                works = await self._try(self._store.purge())

    async def _rest(self, failures: int) -> None:
        """Wait until there is something to do, or until a store that failed may be tried again."""
        if failures and self._closing.is_set():
            await asyncio.sleep(min(self._delay_s(failures), CLOSING_RETRY_S))
        elif failures:
            await _wait(self._closing, self._delay_s(failures))
        elif not self._pending and not self._closing.is_set():
            self._work.clear()
            await _wait(self._work, min(PURGE_S, self._settings.grace_s))

    async def _write_batch(self) -> bool:
        """Write the longest waiting states. Returns whether the store took them."""
        batch = list(islice(self._pending.items(), MAX_BATCH))
        entries = [entry for _, pending in batch if (entry := self._entry(pending.state)) is not None]
        if entries and not await self._try(self._store.write(entries)):
            self._counts.failed_writes += 1
            return False
        self._counts.written += len(entries)
        for session_id, pending in batch:
            # A later state may have come while this one was written.
            if self._pending.get(session_id) is pending:
                del self._pending[session_id]
        return True

    def _entry(self, state: ConversationState) -> Entry | None:
        try:
            written = state if self._redact is None else self._redact(state)
            encoded = encode(written, max_bytes=self._settings.max_state_bytes)
        except UnwritableCheckpoint as error:
            self._counts.refused += 1
            log.warning("checkpoint_refused", session_id=state.session_id, error=_brief(error))
            return None
        return Entry(state.session_id, state.saved_at, encoded)

    async def _try(self, attempt: Awaitable[None]) -> bool:
        """Do it, and report the first failure and the recovery. Returns whether it worked."""
        try:
            await attempt
        except StorageUnavailable as error:
            self._fail(error)
            return False
        except Exception as error:
            log.exception("checkpoint_store_broken")
            self._fail(error)
            return False
        if self._last_error is not None:
            self._last_error = None
            log.info("checkpoints_recovered", place=self._store.place, pending=len(self._pending))
        return True

    def _fail(self, error: Exception) -> None:
        if self._last_error is None:
            log.error("checkpoints_failing", place=self._store.place, error=_brief(error))
        self._last_error = _brief(error)


async def _wait(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


def _brief(error: Exception) -> str:
    """Return one line. Stores name their place without credentials, and none repeats what was said."""
    return " ".join((str(error) or type(error).__name__).split())[:MAX_ERROR]
