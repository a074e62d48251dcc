"""Server-sent events: answers that come in pieces."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
import structlog
from fastapi.responses import StreamingResponse

from voicectl.core.errors import EngineError
from voicectl.service.rest.errors import engine_problem

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "text/event-stream"
DONE: Final = b"data: [DONE]\n\n"


def event(fields: Mapping[str, Any]) -> bytes:
    """Return one event."""
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """Return an answer of events. A stage that fails on the way ends it with an `error` event."""
    # Proxies that collect answers would make a stream pointless.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_with_failure(events), media_type=MEDIA_TYPE, headers=headers)


async def _with_failure(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for piece in events:
            yield piece
    except EngineError as failure:
        # The status has been sent: this is the only way left to tell.
        log.warning("request_failed", error=failure.message)
        yield event(engine_problem(failure).as_json())
