"""Processes that record calls until they are killed, and report what was kept. Run as a program.

The program reads a line a process, `NUMBER free` or `NUMBER locked`, and forks it: loading what it needs takes
longer than most of them live. The process says `ready PID` and then what it keeps, the program when it has ended.
"""

import os
import sqlite3
import sys
import threading
import time
from itertools import count
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.recorded_call import identity, scribe, turn
from voicectl.core.log import configure
from voicectl.core.records import GovernanceEvent
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.store import Store, open_store
from voicectl.service.recording.scribe import Began, Noted, Scribe
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer

ENDED = "|ended"
"""May follow a line that was cut off."""


class ReportingScribe(Scribe):
    """Remembers which events it wrote since it was last asked."""

    fresh: list[GovernanceEvent]

    def write(self, noted: Noted) -> list[GovernanceEvent]:
        events = super().write(noted)
        self.fresh = [*getattr(self, "fresh", []), *events]
        return events


def hold_lock(path: Path) -> None:
    """Keep the database locked, for a tenth of a second at a time."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    while True:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(0.1)
        connection.execute("ROLLBACK")
        time.sleep(0.05)


def tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def record(folder: Path, number: int, *, locked: bool) -> None:
    base = scribe()
    by = ReportingScribe(base._around, base._redactor)

    def opened() -> Store:
        return open_store(SqliteFile(folder / "records.db"), timeout_s=0.02 if locked else 5.0)

    open_store(SqliteFile(folder / "records.db")).close()
    writer = Writer(by, opened, Spill(folder / "spill", max_bytes=100_000_000), now=lambda: time.monotonic() * 20)
    if locked:
        threading.Thread(target=hold_lock, args=(folder / "records.db",), daemon=True).start()
    writer.begin()
    tell(f"ready {os.getpid()}\n")
    calls = [identity(f"sess_{number}_{each}") for each in range(4)]
    by.fresh = []
    writer.write([Noted(call, Began(), 0.0) for call in calls])
    for turn_number in count(1):
        for call in calls:
            writer.write(turn(call, turn_number))
            # Neither lost nor refused: what was written is in the database or in the spill.
            assert (writer.counts.num_lost, writer.counts.num_refused) == (0, 0)
            kept, by.fresh = by.fresh, []
            tell("".join(f"{event.call_id} {event.sequence}\n" for event in kept))


def main(folder: Path) -> None:
    configure(json=True, level="critical")
    for line in sys.stdin:
        number, how = line.split()
        child = os.fork()
        if child == 0:
            try:
                record(folder, int(number), locked=how == "locked")
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        tell(f"{ENDED}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
