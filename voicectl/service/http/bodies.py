"""Bound what a request may send, and how long it may take. Knows no content."""

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicectl.service.http.problem import Problem, problem_response

TOO_LARGE: Final = 413
TOO_SLOW: Final = 408


class BodyLimits:
    """Stops reading a request's body where it is too large or too slow."""

    def __init__(self, app: ASGIApp, max_bytes: int, max_bytes_at: Mapping[str, int], arrival_s: float) -> None:
        """`max_bytes_at` are the limits of single paths."""
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_at = dict(max_bytes_at)
        self._arrival_s = arrival_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._max_bytes_at.get(scope["path"], self._max_bytes)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            problem = Problem(TOO_LARGE, "invalid_request_error", "request_too_large", _too_large(limit))
            await problem_response(problem)(scope, receive, send)
            return
        body = _Body(receive, limit, self._arrival_s)
        await self._app(scope, body.receive, send)


class _Body:
    def __init__(self, receive: Receive, max_bytes: int, arrival_s: float) -> None:
        self._receive = receive
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._deadline = asyncio.get_running_loop().time() + arrival_s
        self._arrival_s = arrival_s
        self._complete = False

    async def receive(self) -> Message:
        """Return the next piece. Raises HTTPException, which the frameworks above let pass."""
        if self._complete:
            # What comes now is the client going away, whenever that is.
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(TOO_SLOW, f"the request did not arrive within {self._arrival_s:g} s") from error
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._left < 0:
                raise HTTPException(TOO_LARGE, _too_large(self._max_bytes))
        return message


def _too_large(limit: int) -> str:
    return f"the request is larger than {limit} bytes"
