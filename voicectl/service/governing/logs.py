"""The last step before a log line is written: whatever got into an event by accident is taken out."""

from typing import Any, Final

from structlog.typing import EventDict, Processor

from voicectl.core.ports import Redactor

OURS: Final = frozenset({"timestamp", "level"})
"""Keys whose values the log itself makes."""
LOST: Final = "[not redacted, not logged]"


def log_redaction(redactor: Redactor) -> Processor:
    """Return a structlog processor that redacts every value of an event, by the policy of its name or tag."""

    def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
        shown: EventDict = {}
        for name, value in event.items():
            if name in OURS:
                shown[name] = value
                continue
            try:
                kept = redactor.field(name, value)
            except Exception:  # noqa: BLE001 - a line that cannot be redacted is lost, not the program that logs
                kept = LOST
            if kept is not None or value is None:
                shown[name] = kept
        return shown

    return redact
