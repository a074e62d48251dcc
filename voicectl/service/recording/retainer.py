"""Takes away what was kept long enough while the gateway runs: a thread and a connection of its own."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from voicectl.core.errors import VoicectlError
from voicectl.core.sections.governance import Retention
from voicectl.governance.store.retention import prune
from voicectl.governance.store.store import Store

log = structlog.get_logger(__name__)

FIRST_AFTER_S: Final = 60.0
EVERY_S: Final = 3600.0


class Retainer:
    """Prunes every hour. It rests after each batch as long as that took, so that who records gets the lock."""

    def __init__(
        self, retention: Retention, open_records: Callable[[], Store], *, first_after_s: float = FIRST_AFTER_S
    ) -> None:
        self._retention = retention
        self._open_records = open_records
        self._first_after_s = first_after_s
        self._stopping = threading.Event()
        self._rested_at = 0.0
        # A daemon: what it has not committed when the gateway ends is rolled back, and goes another time.
        self._thread = threading.Thread(target=self._run, name="call-retention", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Have it end after the batch it is at. Does not wait."""
        self._stopping.set()

    def _run(self) -> None:
        wait_s = self._first_after_s
        while not self._stopping.wait(wait_s):
            wait_s = EVERY_S
            self._rested_at = time.monotonic()
            try:
                with self._open_records() as store:
                    prune(store, self._retention, time.time(), go_on=self._go_on)
            except VoicectlError as error:
                log.warning("retention_failed", error=error.message, hint=error.hint)
            except Exception:  # the edge of the thread: it must outlive its mistakes
                log.exception("retention_broken")

    def _go_on(self) -> bool:
        """Rest; return whether to go on behind it."""
        stopping = self._stopping.wait(time.monotonic() - self._rested_at)
        self._rested_at = time.monotonic()
        return not stopping
