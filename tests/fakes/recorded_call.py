"""Calls as observers see them, and as events: what records are tried on."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes.redaction import FakeRedactor
from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity, Purpose, Redactor
from voicectl.core.records import GovernanceEvent
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.store import Store, open_store
from voicectl.service.recording.pseudonyms import caller_hash
from voicectl.service.recording.scribe import Began, Ended, Noted, Scribe, Surroundings

STARTED_AT = 1_760_000_000.0
ORDER_STATUS = Purpose("order_status", "low")
AROUND = Surroundings(
    purpose=Purpose("faq", "low"),
    agent_name="test",
    config_digest="c" * 64,
    model_digest="m" * 64,
    prompt_digest="p" * 64,
    caller_key=caller_hash(b"k" * 32),
    transfer_tools=("transfer",),
)
TIMES = ev.StageTimes(
    last_voiced_at=1.0,
    hesitated_at=1.1,
    transcribed_at=1.2,
    first_token_at=1.25,
    first_clause_at=1.3,
    first_audio_at=1.35,
    committed_at=1.3,
    first_sent_at=1.4,
)


def identity(
    call_id: str = "sess_1",
    *,
    started_at: float = STARTED_AT,
    resumed: bool = False,
    attributes: dict[str, str] | None = None,
    purpose: Purpose | None = ORDER_STATUS,
) -> CallIdentity:
    return CallIdentity(call_id, "key1", started_at, resumed, attributes or {}, purpose)


def turn(call: CallIdentity, number: int, heard: str = "where is my order", said: str = "On its way.") -> list[Noted]:
    """Return what is seen of one turn."""
    at = 10.0 * number
    return [
        Noted(call, ev.TranscriptFinal(f"item_u{number}", heard, 1.5), at),
        Noted(call, ev.ResponseStarted(f"resp_{number}", f"item_a{number}", None, "audio"), at + 0.1),
        Noted(
            call,
            ev.ResponseEnded(
                f"resp_{number}", f"item_a{number}", "completed", said, "audio",
                usage=ev.TokenUsage(20, 5, 7), times=TIMES,
            ),
            at + 2,
        ),
    ]  # fmt: skip


def whole_call(call: CallIdentity, turns: int = 2) -> list[Noted]:
    """Return what is seen of a call from its beginning to its end."""
    seen = [Noted(call, Began(), 0.0)]
    for number in range(1, turns + 1):
        seen += turn(call, number)
    return [*seen, Noted(call, Ended("the client closed the connection"), 10.0 * turns + 5)]


def transfer(call: CallIdentity, output: str | None, *, call_id: str = "c", at: float = 12.0) -> list[Noted]:
    """Return what is seen of a transfer; without `output` its function never returned."""
    asked = ev.Item(f"f{call_id}", "assistant", "{}", kind="function_call", call_id=call_id, name="transfer")
    seen = [Noted(call, ev.ToolCalled("r", asked, None), at)]
    if output is not None:
        answer = ev.Item(f"o{call_id}", "tool", output, kind="function_call_output", call_id=call_id)
        seen.append(Noted(call, ev.ItemAdded(answer, None), at + 1))
    return seen


def scribe(redactor: Redactor | None = None) -> Scribe:
    return Scribe(AROUND, redactor or FakeRedactor())


def events_of_call(call: CallIdentity, turns: int = 2) -> list[GovernanceEvent]:
    """Return the events of a whole call."""
    return written(scribe(), whole_call(call, turns))


def written(by: Scribe, seen: Sequence[Noted]) -> list[GovernanceEvent]:
    return [event for noted in seen for event in by.write(noted)]


def moved(event: GovernanceEvent, **values: object) -> GovernanceEvent:
    return replace(event, **values)  # type: ignore[arg-type]


@cache
def migrated() -> bytes:
    """Return an empty database; making one anew for each test would take most of their time."""
    with TemporaryDirectory() as name:
        place = Path(name) / "records.db"
        with open_store(SqliteFile(place)) as store, store.read() as connection:
            connection.commit()
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return place.read_bytes()


def store_at(folder: Path, timeout_s: float = 1.0) -> Store:
    path = folder / "records.db"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(migrated())
    return open_store(SqliteFile(path), timeout_s=timeout_s)
