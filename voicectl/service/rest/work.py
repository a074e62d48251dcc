"""One REST request's share of the engine: a bounded number at a time, and none for clients that have gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Final, TypeVar

from fastapi import Request

from voicectl.service.gateway import Gateway
from voicectl.service.http.problem import Problem, unavailable
from voicectl.service.load.admission import Admission

RETRY_S: Final = 1.0
NOT_READY_RETRY_S: Final = 5.0
CLIENT_GONE: Final = 499

T = TypeVar("T")


class WorkSlots:
    """Counts the requests that use the engine. Live calls have their own places."""

    def __init__(self, gateway: Gateway, admission: Admission, max_requests: int) -> None:
        self._gateway = gateway
        self._admission = admission
        self._max_requests = max_requests
        self._num_open = 0

    def __len__(self) -> int:
        return self._num_open

    async def slot(self) -> AsyncIterator[AsyncExitStack]:
        """Hold a place for one request, and what it puts on the stack. Raises Problem when there is none."""
        if self._admission.draining:
            raise unavailable("the gateway is stopping: use another one", RETRY_S)
        if not self._gateway.ready():
            raise unavailable("the engine is not ready: see /readyz", NOT_READY_RETRY_S)
        if self._num_open >= self._max_requests:
            raise unavailable(f"{self._num_open} of {self._max_requests} requests are in progress", RETRY_S)
        self._num_open += 1
        try:
            async with AsyncExitStack() as stack:
                yield stack
        finally:
            self._num_open -= 1


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Return the result of `work`, which is cancelled when the client goes away. Its body must have been read."""
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(_gone(request))
        job = group.create_task(_outcome(work))
        await asyncio.wait((job, gone), return_when=asyncio.FIRST_COMPLETED)
        finished = job.done()
        job.cancel()
        gone.cancel()
    if not finished:
        raise Problem(CLIENT_GONE, "invalid_request_error", "client_gone", "the client went away")
    result, error = job.result()
    if error is not None:
        raise error
    return result  # type: ignore[return-value] # without an error there is a result


async def _outcome(work: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """Return a failure instead of raising it: a task group would wrap it into a group."""
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001 - raised again by who waits for it
        return None, error


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
