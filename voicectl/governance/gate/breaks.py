"""What the records of calls say of the audit log: since when it must tell, and that it once could not be believed."""

from sqlalchemy import Connection, false, insert, select

from voicectl.governance.gate.collect import OLDEST_AT
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, violations

KIND = "audit_break"


def told_from(store: Store) -> float | None:
    """Return when the first call of this host began, None without one; a shared database has calls of others too."""
    with store.read() as connection:
        return _first_call_at(connection) if store.is_sqlite else None


def note_break(store: Store, detail: str, *, at: float, since: float) -> bool:
    """Keep a zero-tolerance event, so that another log does not wipe it; return whether one was written.

    Once since an instant, and only where there are calls that the log should have told of.
    """
    with store.write() as connection:
        known = select(violations.c.violation_id).where(violations.c.kind == KIND, violations.c.at >= since).limit(1)
        if _first_call_at(connection) is None or connection.execute(known).first() is not None:
            return False
        connection.execute(insert(violations).values(kind=KIND, at=at, detail=detail))
    return True


def _first_call_at(connection: Connection) -> float | None:
    call = calls.c
    query = (
        select(call.started_at)
        .where(call.started_at >= OLDEST_AT, call.probe == false())
        .order_by(call.started_at)
        .limit(1)
    )
    return connection.execute(query).scalar()
