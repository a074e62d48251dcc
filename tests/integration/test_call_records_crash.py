"""A gateway that is killed at any moment loses no event that it committed or spilled, and stores none twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.recording_process import ENDED
from voicectl.core.records import GovernanceEvent
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.rows import call_of, events_of
from voicectl.governance.store.store import Store, open_store
from voicectl.service.recording.spill import Spill

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("VOICECTL_KILLS", "20"))
CALLS = 4
PROGRAM = Path(__file__).parents[1] / "fakes" / "recording_process.py"


@pytest.mark.timeout(600)
def test_killed_twenty_times_nothing_kept_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    """Each process writes calls, and reports on a pipe what was made durable; it is killed while it does.

    Every other process finds the database locked for a while, so that kills also fall into spilling and replay.
    """
    draw = random.Random(6)
    reported: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        for number in range(KILLS):
            reported |= killed(program, number, after_s=draw.uniform(0.05, 0.6), locked=number % 2 == 1)
        program.communicate(timeout=10)
    assert program.returncode == 0
    assert len(reported) >= KILLS
    replay(tmp_path)
    with open_store(SqliteFile(tmp_path / "records.db")) as store, store.read() as connection:
        for call_id, last in reported.items():
            events = events_of(connection, call_id)
            assert [event.sequence for event in events[: last + 1]] == list(range(last + 1)), call_id
            said = Counter(event.body["item_id"] for event in events if event.kind == "caller_said")
            assert set(said.values()) <= {1}
            call = call_of(connection, call_id)
            assert call is not None
            assert not call.incomplete
            assert call.num_turns == len(said)
    assert list((tmp_path / "spill").glob("*.spill")) == []


def killed(program: subprocess.Popen[str], number: int, *, after_s: float, locked: bool) -> dict[str, int]:
    """Have a process started and kill it; return the last event of each call that it reported as kept."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{number} {'locked' if locked else 'free'}\n")
    program.stdin.flush()
    word, pid = program.stdout.readline().split()
    assert word == "ready"
    time.sleep(after_s)
    os.kill(int(pid), signal.SIGKILL)
    kept: dict[str, int] = {}
    for line in iter(program.stdout.readline, ""):
        if line.endswith(f"{ENDED}\n"):
            return kept
        call_id, sequence = line.split()
        kept[call_id] = int(sequence)
    raise AssertionError("the program ended")


def replay(folder: Path) -> None:
    """Bring in what the last process left behind, as the next start does."""
    from tests.fakes.recorded_call import scribe
    from voicectl.service.recording.writer import Writer

    def opened() -> Store:
        return open_store(SqliteFile(folder / "records.db"))

    writer = Writer(scribe(), opened, Spill(folder / "spill", max_bytes=100_000_000))
    writer.begin()
    while writer.has_arrears:
        writer.write([])
    writer.close()


def test_the_campaign_would_notice_a_lost_event(tmp_path: Path) -> None:
    """The check above can fail: take one committed event away and it is seen."""
    from tests.fakes.recorded_call import events_of_call, identity
    from voicectl.governance.store.recording import CallRecords

    events = events_of_call(identity(), turns=2)
    with open_store(SqliteFile(tmp_path / "records.db")) as store:
        CallRecords(store).append([event for event in events if event.sequence != 2])
        with store.read() as connection:
            kept: list[GovernanceEvent] = events_of(connection, "sess_1")
            call = call_of(connection, "sess_1")
    assert [event.sequence for event in kept] != list(range(len(events)))
    assert call is not None
    assert call.incomplete
