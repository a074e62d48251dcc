"""Set up structlog for this process: events on stderr, for people or as one JSON document a line."""

import logging
import sys
from typing import Final

import structlog
from structlog.typing import Processor

_LEVELS: Final = logging.getLevelNamesMapping()


def configure(*, json: bool, level: str, last: Processor | None = None) -> None:
    """Send events of `level` ("debug" … "critical") and above to stderr. May be called again.

    `last` sees each event, tracebacks included, as it would be written, and returns it as it may be. Events
    are `noun_verbed` with keys; what callers say, in text or sound, is never among them. Warnings of libraries
    that use the standard library's logging join in. Raises ValueError for an unknown level.
    """
    number = _LEVELS.get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r} is none of {', '.join(name.lower() for name in _LEVELS)}")
    last_steps: list[Processor] = [] if last is None else [structlog.processors.format_exc_info, last]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last_steps,
            *_renderers(json=json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        # A cached logger would keep the stderr and the level of the first event.
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge(logging.WARNING)]
    root.setLevel(max(number, logging.WARNING))


def _renderers(*, json: bool) -> list[Processor]:
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    ]


class _Bridge(logging.Handler):
    """Turns records of the standard library's logging into events."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's broken format string must not raise where it logs
            message = str(record.msg)
        structlog.get_logger().log(
            record.levelno, "library_warned", library=record.name, message=message, exc_info=record.exc_info or None
        )
