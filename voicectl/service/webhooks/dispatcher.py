"""Take events from calls, make them durable, and keep one courier a receiver. Never makes a call wait."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Protocol, Self

import structlog

from voicectl.core.sections.webhooks import WebhookEndpoint, Webhooks
from voicectl.service.database import StorageUnavailable
from voicectl.service.webhooks.courier import Courier, EndpointHealth, Way
from voicectl.service.webhooks.event import WebhookEvent, body_of
from voicectl.service.webhooks.outbox import Letter, Outbox
from voicectl.service.webhooks.retry import Retries

log = structlog.get_logger(__name__)

MAX_BATCH: Final = 32
FIRST_RETRY_S: Final = 0.2
MAX_RETRY_S: Final = 5.0


class ClosableWay(Way, Protocol):
    """A way to a receiver that holds connections."""

    async def close(self) -> None:
        """Close them."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookHealth:
    """How events are stored and delivered. `num_queued` are not stored yet, `num_dropped` never were."""

    state: Literal["ok", "failing"]
    num_queued: int
    num_stored: int
    num_dropped: int
    last_error: str | None
    endpoints: tuple[EndpointHealth, ...]


class WebhookDispatcher:
    """Events on their way, as an async context manager; open and close it in the same task."""

    def __init__(self, settings: Webhooks, outbox: Outbox, ways: Mapping[str, ClosableWay]) -> None:
        self._settings = settings
        self._outbox = outbox
        self._ways = ways
        retries = retries_of(settings)
        self._couriers = {
            endpoint.name: Courier(endpoint.name, ways[endpoint.name], outbox, retries, parallel=settings.parallel)
            for endpoint in settings.endpoints
        }
        self._queue: deque[WebhookEvent] = deque()
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self._num_stored = 0
        self._num_dropped = 0
        self._overflowing = False
        self._last_error: str | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._tasks = [self._group.create_task(self._store_all(), name="store webhook events")]
        self._tasks += [
            self._group.create_task(courier.run(), name=f"webhook {courier.name}")
            for courier in self._couriers.values()
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Store what is queued and send what can be sent, for up to `flush_s` seconds. May be called again.

        What is in the outbox afterwards is delivered after the next start.
        """
        group, self._group = self._group, None
        if group is None:
            return
        self._closing.set()
        self._arrived.set()
        try:
            async with asyncio.timeout(self._settings.flush_s):
                await asyncio.wait(self._tasks)
        except TimeoutError:
            log.info("webhooks_left", outbox=str(self._outbox.path))
        finally:
            if self._queue:
                log.error("webhook_events_lost", events=len(self._queue), error=self._last_error)
            for task in self._tasks:
                task.cancel()
            await group.__aexit__(None, None, None)
            for way in self._ways.values():
                await way.close()
            await self._outbox.close()

    def offer(self, event: WebhookEvent) -> None:
        """Take an event over. Never waits and never raises; when the queue is full the oldest goes."""
        if not any(_wants(endpoint, event) for endpoint in self._settings.endpoints):
            return
        self._queue.append(event)
        if len(self._queue) > self._settings.queue_depth:
            self._queue.popleft()
            self._num_dropped += 1
        self._arrived.set()

    def health(self) -> WebhookHealth:
        """Return how it goes."""
        return WebhookHealth(
            state="ok" if self._last_error is None else "failing",
            num_queued=len(self._queue),
            num_stored=self._num_stored,
            num_dropped=self._num_dropped,
            last_error=self._last_error,
            endpoints=tuple(courier.health() for courier in self._couriers.values()),
        )

    # --- from the queue into the outbox ----------------------------------------------------------

    async def _store_all(self) -> None:
        failures = 0
        tidied = False
        while True:
            try:
                tidied = tidied or await self._tidy()
                await self._store_queued()
            except StorageUnavailable as error:
                self._fail(error)
            except Exception as error:
                log.exception("webhook_store_broken")
                self._fail(error)
            else:
                self._recover()
            failures = 0 if self._last_error is None else failures + 1
            if self._closing.is_set() and (not self._queue or failures > 1):
                break
            await self._rest(failures)
        for courier in self._couriers.values():
            courier.finish()

    async def _rest(self, failures: int) -> None:
        """Wait for events, or until an outbox that failed may be tried again."""
        event = self._closing if failures else self._arrived
        within_s = min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 16)) if failures else None
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await event.wait()

    async def _tidy(self) -> bool:
        """Forget receivers that the profile no longer names."""
        dropped = await self._outbox.keep_only(self._couriers.keys())
        if dropped:
            log.warning("webhook_deliveries_dropped", deliveries=dropped, reason="their receivers are no more")
        for courier in self._couriers.values():
            courier.wake()
        return True

    async def _store_queued(self) -> None:
        self._arrived.clear()
        while self._queue:
            batch = [self._queue[index] for index in range(min(MAX_BATCH, len(self._queue)))]
            letters = [letter for event in batch for letter in self._letters(event)]
            lost = await self._outbox.add(letters)
            self._num_stored += len(batch)
            self._forget(batch)
            self._count_lost(lost)
            for name in {letter.endpoint for letter in letters}:
                self._couriers[name].wake()

    def _letters(self, event: WebhookEvent) -> Sequence[Letter]:
        wanted = [
            endpoint
            for endpoint in self._settings.endpoints
            if _wants(endpoint, event) and not self._couriers[endpoint.name].disabled
        ]
        try:
            bodies = [body_of(event, include_transcripts=endpoint.include_transcripts) for endpoint in wanted]
        except (UnicodeEncodeError, TypeError) as error:
            # Tried again it would fail again, and hold up all that came after it.
            self._num_dropped += 1
            log.error("webhook_event_unwritable", kind=event.kind, error=type(error).__name__)
            return []
        return [
            Letter(event.event_id, endpoint.name, body, event.at) for endpoint, body in zip(wanted, bodies, strict=True)
        ]

    def _count_lost(self, lost: Mapping[str, int]) -> None:
        for name, count in lost.items():
            if name in self._couriers:
                self._couriers[name].lost(count)
        if lost and not self._overflowing:
            log.error("webhook_outbox_full", max_outbox=self._settings.max_outbox, dropped=dict(lost))
        self._overflowing = bool(lost)

    def _forget(self, stored: Sequence[WebhookEvent]) -> None:
        """Take what was stored off the queue; a full queue may have dropped some of it meanwhile."""
        ids = {event.event_id for event in stored}
        while self._queue and self._queue[0].event_id in ids:
            self._queue.popleft()

    def _fail(self, error: Exception) -> None:
        brief = " ".join(str(error).split())[:300] or type(error).__name__
        if self._last_error is None:
            log.error("webhook_outbox_failing", error=brief)
        self._last_error = brief

    def _recover(self) -> None:
        if self._last_error is not None:
            self._last_error = None
            log.info("webhook_outbox_recovered", path=str(self._outbox.path))


def retries_of(settings: Webhooks) -> Retries:
    """Return how hard a profile wants it tried."""
    return Retries(
        backoff_s=settings.backoff_s,
        max_backoff_s=settings.max_backoff_s,
        max_attempts=settings.max_attempts,
        max_age_s=settings.max_age_s,
        open_after=settings.open_after,
        max_open_s=settings.max_open_s,
    )


def _wants(endpoint: WebhookEndpoint, event: WebhookEvent) -> bool:
    return not endpoint.events or event.kind in endpoint.events
