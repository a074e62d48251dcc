"""What the records of calls say of the audit log: since when it must tell, and that it once could not be believed."""

from typing import Final

from sqlalchemy import Connection, false, insert, select

from voicectl.governance.gate.collect import OLDEST_AT
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, violations

AUDIT_BREAK: Final = "audit_break"


def told_from(store: Store) -> float | None:
    """Return when the first call of this host began, None without one; a shared database has calls of others too."""
    with store.read() as connection:
        return _first_call_at(connection) if store.is_sqlite else None


def note_break(store: Store, detail: str, *, at: float) -> None:
    """Keep a zero-tolerance event of all use cases, where there are calls that the log should have told of."""
    with store.write() as connection:
        if _first_call_at(connection) is not None:
            connection.execute(insert(violations).values(kind=AUDIT_BREAK, at=at, detail=detail))


def _first_call_at(connection: Connection) -> float | None:
    call = calls.c
    query = (
        select(call.started_at)
        .where(call.started_at >= OLDEST_AT, call.probe == false())
        .order_by(call.started_at)
        .limit(1)
    )
    return connection.execute(query).scalar()
