"""Bring one receiver its deliveries out of the outbox, again and again until they are through or given up."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.service.database import StorageUnavailable
from voicectl.service.webhooks.outbox import Delivery, Outbox, Settlement
from voicectl.service.webhooks.retry import Circuit, Retries, backoff_s, given_up
from voicectl.service.webhooks.sender import Delivered, EndpointGone, Failed, Outcome

log = structlog.get_logger(__name__)

IDLE_S: Final = 60.0
STORAGE_RETRY_S: Final = 2.0


class Way(Protocol):
    """Sends one message to one receiver."""

    async def send(self, event_id: str, body: bytes) -> Outcome:
        """Make one attempt; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How one receiver does. "failing" is left alone for the moment, "disabled" answered 410 Gone.

    Numbers count since the start; `num_waiting` is of the last look into the outbox. `num_dead` were given up.
    """

    name: str
    state: Literal["ok", "failing", "disabled"]
    num_waiting: int
    num_delivered: int
    num_failed_attempts: int
    num_dead: int
    last_error: str | None


class Courier:
    """One receiver's deliveries. `run` is a task; `wake` tells it that there may be more."""

    def __init__(
        self,
        name: str,
        way: Way,
        outbox: Outbox,
        retries: Retries,
        *,
        parallel: int,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._way = way
        self._outbox = outbox
        self._retries = retries
        self._parallel = parallel
        self._clock = clock or MonotonicClock()
        self._now = now
        self._chance = chance
        self._circuit = Circuit()
        self._wake = asyncio.Event()
        self._unsettled: Settlement | None = None
        self._closing = False
        self._disabled = False
        self._num_waiting = 0
        self._num_delivered = 0
        self._num_failed = 0
        self._num_dead = 0
        self._last_error: str | None = None

    @property
    def disabled(self) -> bool:
        """Whether the receiver wants no more events."""
        return self._disabled

    def wake(self) -> None:
        """Say that the outbox may hold more."""
        self._wake.set()

    def finish(self) -> None:
        """Let `run` end once nothing can be sent at the moment."""
        self._closing = True
        self._wake.set()

    def lost(self, count: int) -> None:
        """Count deliveries that the outbox had no room for."""
        self._num_dead += count

    def health(self) -> EndpointHealth:
        """Return how it goes."""
        failing = self._circuit.probing(self._retries)
        return EndpointHealth(
            name=self.name,
            state="disabled" if self._disabled else "failing" if failing else "ok",
            num_waiting=self._num_waiting,
            num_delivered=self._num_delivered,
            num_failed_attempts=self._num_failed,
            num_dead=self._num_dead,
            last_error=self._last_error,
        )

    async def run(self) -> None:
        """Deliver from the first `wake` until `finish`, or until the receiver is gone."""
        await self._wake.wait()
        while not self._disabled:
            self._wake.clear()
            try:
                pause_s = await self._round()
            except StorageUnavailable as error:
                log.debug("outbox_not_read", endpoint=self.name, error=str(error))
                pause_s = STORAGE_RETRY_S
            except Exception:
                log.exception("webhook_courier_broken", endpoint=self.name)
                pause_s = STORAGE_RETRY_S
            if self._closing and pause_s > 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def _round(self) -> float:
        """Send what is due; return how long there is nothing to do, 0 when there may be more at once."""
        if self._unsettled is not None:
            # What was delivered is not sent again only because the disk was full when it should be noted.
            await self._outbox.settle(self._unsettled)
            self._unsettled = None
        wait_s = self._circuit.wait_s(self._clock.now())
        if wait_s > 0:
            return wait_s
        now = self._now()
        limit = 1 if self._circuit.probing(self._retries) else self._parallel
        due = await self._outbox.due(self.name, now=now, latest=now + self._retries.max_backoff_s, limit=limit)
        self._num_waiting = due.num_waiting
        if not due.deliveries:
            return IDLE_S if due.next_at is None else min(max(due.next_at - now, 0.01), IDLE_S)
        async with asyncio.TaskGroup() as group:
            attempts = [group.create_task(self._way.send(each.event_id, each.body)) for each in due.deliveries]
        await self._settle(due.deliveries, [attempt.result() for attempt in attempts])
        return 0.0

    async def _settle(self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome]) -> None:
        done: list[int] = []
        again: list[tuple[int, float]] = []
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            next_at = self._weigh(delivery, outcome)
            if next_at is None:
                done.append(delivery.seq)
            else:
                again.append((delivery.seq, next_at))
        if self._disabled:
            self._num_dead += await self._outbox.clear(self.name)
            self._num_waiting = 0
            return
        self._num_waiting -= len(done)
        self._unsettled = Settlement(done, again)
        await self._outbox.settle(self._unsettled)
        self._unsettled = None

    def _weigh(self, delivery: Delivery, outcome: Outcome) -> float | None:
        """Count an attempt; return when the next one is, None when there is none."""
        before = self._circuit.probing(self._retries)
        self._circuit = self._circuit.after(
            delivered=isinstance(outcome, Delivered),
            now=self._clock.now(),
            retries=self._retries,
            chance=self._chance(),
        )
        match outcome:
            case Delivered():
                self._num_delivered += 1
                self._last_error = None
                if before:
                    log.info("webhook_recovered", endpoint=self.name)
                return None
            case EndpointGone():
                self._disabled = True
                self._last_error = "HTTP 410: disabled until the gateway is restarted"
                log.error("webhook_disabled", endpoint=self.name, error=self._last_error)
                return None
            case Failed(reason):
                return self._failed(delivery, reason, already_known=before)

    def _failed(self, delivery: Delivery, reason: str, *, already_known: bool) -> float | None:
        self._num_failed += 1
        self._last_error = reason
        attempts = delivery.attempts + 1
        if not already_known and self._circuit.probing(self._retries):
            log.warning("webhook_failing", endpoint=self.name, error=reason)
        now = self._now()
        if given_up(attempts, now - delivery.created_at, self._retries):
            self._num_dead += 1
            log.error(
                "webhook_given_up", endpoint=self.name, event_id=delivery.event_id, attempts=attempts, error=reason
            )
            return None
        return now + backoff_s(attempts, self._retries, self._chance())
