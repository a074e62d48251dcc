"""Connections to PostgreSQL that wait no longer than allowed, also for a server that is there and says nothing."""

from collections.abc import Generator
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg

Answer = TypeVar("Answer")
MARGIN_S: Final = 0.5
"""How much longer than the server's own limits ours are: it says what it was that took so long."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that closes itself when an answer is overdue. Whether the server then did it is not known."""

    patience_s: float

    def wait(self, gen: Generator[Any, Any, Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """Return what the server answers. Raises OperationalError behind `patience_s`."""
        until = monotonic() + self.patience_s
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if monotonic() < until:
                raise
            # What comes in answer to this statement would be taken for that of the next.
            self.pgconn.finish()
            raise psycopg.OperationalError("it did not answer in time") from error


def connect(*arguments: Any, patience_s: float, **parameters: Any) -> BoundedConnection:
    """Connect as psycopg does, to a server whose every answer is due within `patience_s`."""
    connection = BoundedConnection.connect(*arguments, **parameters)
    connection.patience_s = patience_s
    return connection
