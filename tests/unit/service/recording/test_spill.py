"""Spilled events come back whole, in order, or not at all."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes.recorded_call import events_of_call, identity
from voicectl.core.records import GovernanceEvent
from voicectl.service.recording.spill import DAMAGED, Spill, SpillFull

EVENTS = events_of_call(identity(), turns=3)


def everything(spill: Spill, size: int = 3) -> list[GovernanceEvent]:
    return [event for batch in spill.batches(size) for event in batch]


def spilled(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spill"))


def test_events_come_back_in_order_and_are_gone_then(tmp_path: Path) -> None:
    spill = Spill(tmp_path, max_bytes=1_000_000)
    spill.append(EVENTS[:4])
    spill.append(EVENTS[4:])
    assert not spill.is_empty
    assert everything(spill) == EVENTS
    assert spill.is_empty
    assert everything(spill) == []
    spill.close()
    assert spilled(tmp_path) == []


def test_files_are_private(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "spill", max_bytes=1_000_000)
    spill.append(EVENTS)
    (file,) = spilled(tmp_path / "spill")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    spill.close()


def test_what_is_appended_while_it_is_read_is_read_too(tmp_path: Path) -> None:
    spill = Spill(tmp_path, max_bytes=1_000_000)
    spill.append(EVENTS[:4])
    read: list[GovernanceEvent] = []
    for number, batch in enumerate(spill.batches(3)):
        read += batch
        if number < 2:
            spill.append(EVENTS[4 + 2 * number : 6 + 2 * number])
    assert read == EVENTS
    assert spill.is_empty


def test_reading_that_is_broken_off_begins_anew(tmp_path: Path) -> None:
    spill = Spill(tmp_path, max_bytes=1_000_000)
    spill.append(EVENTS)
    assert next(spill.batches(3)) == EVENTS[:3]
    assert everything(spill) == EVENTS


def test_the_next_process_adopts_what_a_dead_one_left_and_leaves_the_living_alone(tmp_path: Path) -> None:
    dead, living, heir = (Spill(tmp_path, max_bytes=1_000_000) for _ in range(3))
    dead.append(EVENTS[:5])
    living.append(EVENTS[5:])
    dead.close()
    assert heir.adopt() == 1
    assert heir.adopt() == 1
    assert everything(heir) == EVENTS[:5]
    living.close()
    heir.adopt()
    assert everything(heir) == EVENTS[5:]
    assert spilled(tmp_path) == []


def test_a_torn_last_line_was_never_kept(tmp_path: Path) -> None:
    dead, heir = (Spill(tmp_path, max_bytes=1_000_000) for _ in range(2))
    dead.append(EVENTS[:5])
    dead.close()
    (file,) = spilled(tmp_path)
    file.write_bytes(file.read_bytes()[:-7])
    heir.adopt()
    assert everything(heir) == EVENTS[:4]
    assert heir.num_damaged == 0


def test_every_changed_byte_is_noticed_and_costs_its_line_alone(tmp_path: Path) -> None:
    writer = Spill(tmp_path, max_bytes=1_000_000)
    writer.append(EVENTS[:3])
    writer.close()
    (file,) = spilled(tmp_path)
    good = file.read_bytes()
    second = good.index(b"\n") + 1
    with capture_logs():
        for place in range(second, good.index(b"\n", second), 7):
            changed = bytearray(good)
            changed[place] ^= 0x01
            file.write_bytes(changed)
            heir = Spill(tmp_path, max_bytes=1_000_000)
            heir.adopt()
            assert next(heir.batches(10)) == [EVENTS[0], EVENTS[2]], place
            assert heir.num_damaged == 1
            heir.close()
    assert (tmp_path / DAMAGED).stat().st_mode & 0o777 == 0o600


def test_a_full_spill_refuses_all_of_a_batch(tmp_path: Path) -> None:
    spill = Spill(tmp_path, max_bytes=1500)
    spill.append(EVENTS[:1])
    with pytest.raises(SpillFull, match="1500 bytes"):
        spill.append(EVENTS * 5)
    assert everything(spill) == EVENTS[:1]


def test_a_folder_that_may_not_be_made_is_a_full_spill(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spill = Spill(tmp_path / "file" / "spill", max_bytes=1000)
    with pytest.raises(SpillFull):
        spill.append(EVENTS)


def test_no_file_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        spill = Spill(tmp_path, max_bytes=1_000_000)
        spill.adopt()
        spill.append(EVENTS)
        spill.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
