"""Appends events and keeps the rows of their calls up to date, in one transaction a batch."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, func, select, update

from voicectl.core.records import SCORE_STATES, GovernanceEvent
from voicectl.governance.recording import kinds
from voicectl.governance.recording.fold import CallFold, fold
from voicectl.governance.store.errors import RowsRejected
from voicectl.governance.store.rows import append_events, events_of, save_calls, save_turns
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls

MAX_REMEMBERED: Final = 2_000
"""Calls whose fold is kept in memory; that of another call is made anew from its events."""


class CallRecords:
    """Writes events for one process. Not for several threads at once."""

    def __init__(self, store: Store) -> None:
        self.store: Final = store
        self._folds: OrderedDict[str, CallFold] = OrderedDict()

    def append(self, fresh: Sequence[GovernanceEvent]) -> None:
        """Write events and the rows they change, all or nothing. Events that are there already change nothing.

        Raises StoreUnavailable or RowsRejected.
        """
        of_calls = {
            call_id: list(group)
            for call_id, group in groupby(sorted(fresh, key=_place), key=lambda event: event.call_id)
        }
        touched: dict[str, CallFold] = {}
        try:
            with self.store.write() as connection:
                append_events(connection, [event for group in of_calls.values() for event in group])
                for call_id, group in of_calls.items():
                    touched[call_id] = self._fold_on(connection, call_id, group)
                changed = [folded.changed_turns() for folded in touched.values() if folded.has_row]
                save_calls(connection, [row for folded in touched.values() if (row := folded.call) is not None])
                save_turns(connection, [turn for rows in changed for turn in rows])
        except BaseException:
            # They took events that were not committed.
            for call_id in of_calls:
                self._folds.pop(call_id, None)
            raise
        for call_id, folded in touched.items():
            if of_calls[call_id][-1].kind == kinds.ENDED:
                self._folds.pop(call_id, None)
                continue
            self._folds[call_id] = folded
            self._folds.move_to_end(call_id)
        while len(self._folds) > MAX_REMEMBERED:
            self._folds.popitem(last=False)

    def append_what_can_be(self, fresh: Sequence[GovernanceEvent]) -> list[tuple[str, RowsRejected]]:
        """Write events call by call; return the calls whose events the database refuses. Raises StoreUnavailable."""
        refused = []
        for call_id, group in groupby(sorted(fresh, key=_place), key=lambda event: event.call_id):
            try:
                self.append(list(group))
            except RowsRejected as error:
                refused.append((call_id, error))
        return refused

    def close_lost(self, before: float, live: Sequence[str]) -> int:
        """Mark calls as lost that are not `live` and told nothing since `before`; return how many there were.

        A call that goes on after all is taken up again by its next event.
        """
        told_at = func.coalesce(calls.c.last_event_at, calls.c.started_at)
        # Any state, also of a call that went on after its score; naming them lets the index find it among millions.
        silent = calls.c.score_state.in_(SCORE_STATES) & calls.c.ended_at.is_(None) & (told_at < before)
        with self.store.read() as connection:
            found = connection.execute(select(calls.c.call_id).where(silent)).scalars().all()
        lost = [call_id for call_id in found if call_id not in set(live)]
        if not lost:
            return 0
        with self.store.write() as connection:
            for call_id in lost:
                self._folds.pop(call_id, None)
                values = {"ended_at": told_at, "end_reason": "lost", "handle_s": told_at - calls.c.started_at}
                connection.execute(update(calls).where(calls.c.call_id == call_id, silent).values(**values))
        return len(lost)

    def _fold_on(self, connection: Connection, call_id: str, group: Sequence[GovernanceEvent]) -> CallFold:
        try:
            return self._folded(connection, call_id, group)
        except (LookupError, TypeError, ValueError) as error:
            raise RowsRejected(f"{self.store.place}: {call_id}: its events make no call: {error!r}") from error

    def _folded(self, connection: Connection, call_id: str, group: Sequence[GovernanceEvent]) -> CallFold:
        folded = self._folds.get(call_id)
        if folded is None or group[0].sequence <= folded.last_sequence:
            # A call that is not remembered, or that has these events already: all its events decide.
            folded = fold(call_id, events_of(connection, call_id))
        for event in group:
            folded.take(event)
        return folded


def _place(event: GovernanceEvent) -> tuple[str, int]:
    return event.call_id, event.sequence
