"""The call records for those who read them beside the recorder, opened when they are first asked for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from voicectl.core.sections.governance import Governance
from voicectl.governance.store.location import location_of
from voicectl.governance.store.store import Store, open_store


class CallRecordsReader:
    """Records for scoring and counting. Use it on threads: it waits for the database.

    A database that cannot be opened is tried again with the next question: `read` and `write` raise ConfigError.
    """

    def __init__(self, open_records: Callable[[], Store]) -> None:
        self._open = open_records
        self._guard = threading.Lock()
        self._store: Store | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that only reads."""
        with self._opened().read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose transaction is committed in the end, or rolled back by an error."""
        with self._opened().write() as connection:
            yield connection

    def close(self) -> None:
        """Close the database."""
        with self._guard:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _opened(self) -> Store:
        with self._guard:
            if self._store is None:
                self._store = self._open()
            return self._store


def reader_of(settings: Governance) -> CallRecordsReader | None:
    """Return a reader of the records that a profile keeps, None when it keeps none. The recorder makes them."""
    if not settings.enabled:
        return None
    return CallRecordsReader(lambda: open_store(location_of(settings), timeout_s=settings.storage_s, create=False))
