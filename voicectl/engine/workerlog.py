"""Brings what a worker writes to stderr into the gateway's log: its events, and lines of native libraries."""

import json
import logging
from collections import deque
from typing import Any, Final

import structlog

from voicectl.core.clock import Clock, MonotonicClock

MAX_LINE_CHARS: Final = 4_000
LINES_A_SECOND: Final = 200
"""More lines than this are counted, not logged: a library that repeats itself must not drown the log."""
KEPT_LINES: Final = 20

log = structlog.get_logger(__name__)


class WorkerLog:
    """Re-emits the lines of one worker with its name, and keeps the latest for error messages."""

    def __init__(self, worker: str, clock: Clock | None = None) -> None:
        self._log = log.bind(worker=worker)
        self._clock = clock or MonotonicClock()
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._second = 0
        self._num_in_second = 0

    def take(self, line: bytes) -> None:
        """Log one line: an event as itself, anything else as `worker_wrote`."""
        text = line.decode("utf-8", "replace").rstrip()[:MAX_LINE_CHARS]
        if not text:
            return
        event = _event(text)
        self._tail.append(text if event is None else _for_people(event))
        if self._is_flooding():
            return
        if event is None:
            self._log.info("worker_wrote", line=text)
            return
        level = logging.getLevelNamesMapping().get(str(event.pop("level", "info")).upper(), logging.INFO)
        event.pop("timestamp", None)
        event.pop("worker", None)
        self._log.log(level, str(event.pop("event")), **event)

    def tail(self) -> list[str]:
        """Return the latest lines, oldest first."""
        return list(self._tail)

    def _is_flooding(self) -> bool:
        second = int(self._clock.now())
        if second != self._second:
            dropped = self._num_in_second - LINES_A_SECOND
            self._second, self._num_in_second = second, 0
            if dropped > 0:
                self._log.warning("worker_lines_dropped", count=dropped)
        self._num_in_second += 1
        return self._num_in_second > LINES_A_SECOND


def _event(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "event" in document else None


def _for_people(event: dict[str, Any]) -> str:
    exception = event.get("exception")
    if isinstance(exception, str) and exception.strip():
        # The last line of a traceback is the one that names the failure.
        return f"{event['event']}: {exception.strip().splitlines()[-1]}"
    keys = (f"{key}={value}" for key, value in event.items() if key not in {"event", "level", "timestamp"})
    return " ".join([str(event["event"]), *keys])
