"""Brings events into the database, or into the spill while that does not take them. One thread owns it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from voicectl.core.errors import VoicectlError
from voicectl.core.ports import AuditTrail, CallIdentity
from voicectl.core.records import GovernanceEvent
from voicectl.governance.recording.auditing import audit_entries
from voicectl.governance.store.errors import RowsRejected, StoreUnavailable
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.store import Store
from voicectl.service.recording.scribe import Noted, Scribe
from voicectl.service.recording.spill import Spill, SpillFull

log = structlog.get_logger(__name__)

REPLAY_BATCH: Final = 500
REPLAY_S: Final = 0.5
"""Time for spilled events before new ones are looked at again."""
FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 30.0
REFUSED_S: Final = 600.0
"""How long the state tells that events were refused: nothing else would make anybody look."""
MAX_LOSERS: Final = 10_000
"""Calls of which it is remembered that they lost events."""

RecordingState = Literal["ok", "spilling", "losing"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of events. `num_lost` were neither stored nor spilled; `num_refused` the database would not have."""

    num_stored: int = 0
    num_spilled: int = 0
    num_replayed: int = 0
    num_lost: int = 0
    num_refused: int = 0


class Writer:
    """Writes what observers saw. Opens the database at the first write, and again after a failure.

    A database that owes an answer for longer than `patience_s` counts as down, though the wait for it goes on.
    """

    def __init__(
        self,
        scribe: Scribe,
        open_records: Callable[[], Store],
        spill: Spill,
        *,
        patience_s: float = 2.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.audit: AuditTrail | None = None
        self._scribe = scribe
        self._open_records = open_records
        self._spill = spill
        self._patience_s = patience_s
        self._now = now
        self._asked_at: float | None = None
        self._until = math.inf
        self._refused_until = -math.inf
        self._records: CallRecords | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._replay: Iterator[list[GovernanceEvent]] | None = None
        self._losers: dict[str, tuple[CallIdentity, int]] = {}
        self.counts = Counts()
        self.last_error: str | None = None

    @property
    def state(self) -> RecordingState:
        """How it goes."""
        if self._losers or self._now() < self._refused_until:
            return "losing"
        asked_at = self._asked_at
        overdue = asked_at is not None and self._now() - asked_at > self._patience_s
        return "spilling" if overdue or self.last_error is not None else "ok"

    @property
    def spilled_bytes(self) -> int:
        """How much waits in the spill."""
        return self._spill.size_bytes

    @property
    def has_arrears(self) -> bool:
        """Whether there is something to do although nothing new came in."""
        return not self._spill.is_empty or bool(self._losers)

    @property
    def rest_s(self) -> float | None:
        """How long a database that failed is left alone; None when there is nothing to catch up on."""
        return max(0.0, self._retry_at - self._now()) if self.has_arrears else None

    def begin(self) -> None:
        """Look at what earlier processes left behind. Raises StoreRefused for a database that will never do."""
        try:
            self._spill.adopt()
        except OSError as error:
            log.error("spill_unreadable", folder=str(self._spill.folder), error=error.strerror)
        try:
            with self._asking():
                pass
        except StoreUnavailable as error:
            self._fail(error)

    def write(self, noted: Sequence[Noted], missed: Sequence[tuple[CallIdentity, int]] = ()) -> None:
        """Write what was seen, and of which calls so much was `missed` before it came here. Never raises."""
        for call, count in missed:
            self._lose(call, count)
        calls = {each.call.session_id: each.call for each in noted}
        fresh = [event for each in noted for event in self._written(each)]
        if not self._spill.is_empty:
            # What waits there was first: order is kept by joining its end.
            self._keep(fresh, calls)
            self._catch_up()
        elif fresh and not (self._may_try() and self._store(fresh)):
            self._keep(fresh, calls)
        self._confess()

    def _written(self, noted: Noted) -> list[GovernanceEvent]:
        try:
            written = self._scribe.write(noted)
            self._tell(written, noted.call.started_at)
            return written
        except Exception as error:  # noqa: BLE001 - the edge of one event: the others must be kept
            # Neither the message nor the trace: they could quote what was said.
            log.error("call_event_unwritable", session_id=noted.call.session_id, error=type(error).__name__)
            self._lose(noted.call, 1)
            return []

    def _tell(self, events: Sequence[GovernanceEvent], started_at: float) -> None:
        if self.audit is not None:
            for event in events:
                for kind, body in audit_entries(event, started_at):
                    self.audit.note(kind, body)

    def run(self, work: Callable[[CallRecords], int]) -> int:
        """Do other work on the records, unless the database is down, and return what it does. Never raises."""
        if not self._may_try() or not self._spill.is_empty:
            return 0
        try:
            with self._asking() as records:
                return work(records)
        except VoicectlError as error:
            self._fail(error)
            return 0

    def finish_within(self, seconds: float) -> None:
        """Let the database alone from then on: what is not stored by then is spilled. For any thread."""
        self._until = min(self._until, self._now() + seconds)

    def close(self) -> None:
        """Let go of the database and of the spill."""
        self._disconnect()
        self._spill.close()

    # --- the database ----------------------------------------------------------------------------

    def _may_try(self) -> bool:
        return self._retry_at <= self._now() < self._until

    @contextmanager
    def _asking(self) -> Iterator[CallRecords]:
        """Give the records, opened, and keep in mind since when the database is asked for something."""
        self._asked_at = self._now()
        try:
            if self._records is None:
                self._records = CallRecords(self._open_records())
            yield self._records
        finally:
            self._asked_at = None

    def _store(self, fresh: Sequence[GovernanceEvent]) -> bool:
        """Commit events; return whether the database took them, or refuses some of them for good."""
        try:
            with self._asking() as records:
                try:
                    records.append(fresh)
                except RowsRejected:
                    self._refused(records.append_what_can_be(fresh), fresh)
        except VoicectlError as error:
            self._fail(error)
            return False
        self._recover()
        self._count(num_stored=len(fresh))
        return True

    def _refused(self, refused: Sequence[tuple[str, RowsRejected]], fresh: Sequence[GovernanceEvent]) -> None:
        """Tell of rows that would be refused again, and must not hold up all others."""
        for call_id, error in refused:
            count = sum(event.call_id == call_id for event in fresh)
            self._count(num_refused=count)
            self._refused_until = self._now() + REFUSED_S
            log.error("call_events_refused", session_id=call_id, events=count, error=error.message)

    def _fail(self, error: VoicectlError) -> None:
        self._failures += 1
        self._retry_at = self._now() + min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16))
        if self.last_error is None:
            log.error("call_records_failing", error=error.message, hint=error.hint)
        self.last_error = error.message
        self._disconnect()

    def _recover(self) -> None:
        if self.last_error is not None:
            log.info("call_records_recovered")
        self._failures, self._retry_at, self.last_error = 0, 0.0, None

    def _disconnect(self) -> None:
        records, self._records = self._records, None
        if records is not None:
            records.store.close()

    # --- the spill -------------------------------------------------------------------------------

    def _keep(self, fresh: Sequence[GovernanceEvent], calls: dict[str, CallIdentity]) -> None:
        if not fresh:
            return
        try:
            self._spill.append(fresh)
        except SpillFull as error:
            if not self._losers:
                log.error("call_events_lost", error=str(error))
            for event in fresh:
                self._lose(calls[event.call_id], 1)
        else:
            self._count(num_spilled=len(fresh))

    def _catch_up(self) -> None:
        """Bring spilled events into the database, for as long as it takes them and nothing new has to wait long."""
        if not self._may_try():
            return
        until = self._now() + REPLAY_S
        try:
            if self._replay is None:
                self._replay = self._spill.batches(REPLAY_BATCH)
            for batch in self._replay:
                if not self._store(batch):
                    break
                self._count(num_stored=-len(batch), num_replayed=len(batch))
                if self._now() >= until:
                    return
        except OSError as error:
            log.error("spill_unreadable", folder=str(self._spill.folder), error=error.strerror)
            self._retry_at = self._now() + MAX_RETRY_S
        # Through, or to be read again from its beginning.
        self._replay = None

    # --- losses ----------------------------------------------------------------------------------

    def _lose(self, call: CallIdentity, count: int) -> None:
        self._count(num_lost=count)
        known = self._losers.get(call.session_id)
        if known is not None or len(self._losers) < MAX_LOSERS:
            self._losers[call.session_id] = (call, count + (known[1] if known else 0))

    def _confess(self) -> None:
        """Write into each call that lost events that it did, once that can be written."""
        if not self._losers or not self._may_try() or not self._spill.is_empty:
            return
        confessions = [self._scribe.confess(call, count, time.time()) for call, count in self._losers.values()]
        if self._store(confessions):
            log.warning("call_records_incomplete", calls=len(self._losers))
            self._losers.clear()

    def _count(self, **more: int) -> None:
        self.counts = Counts(**{name: getattr(self.counts, name) + more.get(name, 0) for name in Counts.__slots__})
