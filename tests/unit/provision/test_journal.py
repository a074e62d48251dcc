"""The journal remembers runs that did not get to their end, also through a crash in the middle of a line."""

from pathlib import Path

from voicectl.provision import journal as module
from voicectl.provision.journal import Journal, unfinished


def began(journal: Journal, run_id: str, *hosts: str, phase: str | None = "look") -> None:
    journal.note("run_began", run_id=run_id, command="install", hosts=list(hosts))
    if phase is not None:
        journal.note("phase_began", run_id=run_id, phase=phase, hosts=list(hosts))


def test_run_that_was_broken_off_is_told_with_its_phase(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    began(journal, "r1", "a", "b")
    journal.note("phase_began", run_id="r1", phase="copy the weights", hosts=["a", "b"])
    journal.note("host_ended", run_id="r1", host="a", exit_code=0)
    found = journal.unfinished(["a", "b", "c"])
    assert list(found) == ["b"]
    assert (found["b"].run_id, found["b"].command, found["b"].phase) == ("r1", "install", "copy the weights")


def test_later_run_that_got_through_ends_the_matter(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    began(journal, "r1", "a")
    began(journal, "r2", "a")
    journal.note("host_ended", run_id="r2", host="a", exit_code=0)
    assert journal.unfinished(["a"]) == {}


def test_failed_host_stays_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    began(journal, "r1", "a")
    journal.note("host_ended", run_id="r1", host="a", exit_code=6)
    assert list(journal.unfinished(["a"])) == ["a"]


def test_run_that_got_to_no_phase_has_changed_nothing_and_is_not_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    began(journal, "r1", "a", phase=None)
    assert journal.unfinished(["a"]) == {}


def test_other_hosts_are_no_matter(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    began(journal, "r1", "a")
    assert journal.unfinished(["b"]) == {}


def test_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    began(journal, "r1", "a")
    with journal.path.open("a") as file:
        file.write('{"event": "host_end')
    assert [event["event"] for event in journal.events()] == ["run_began", "phase_began"]


def test_journal_that_does_not_exist_tells_nothing(tmp_path: Path) -> None:
    assert list(Journal(tmp_path / "none").events()) == []
    assert unfinished(iter([]), ["a"]) == {}


def test_journal_is_its_owners_alone_and_is_set_aside_when_it_has_grown(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    began(journal, "r1", "a")
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700
    with journal.path.open("ab") as file:
        file.truncate(module.MAX_BYTES + 1)
    began(journal, "r2", "a")
    assert len(list(journal.events())) == 2
    assert journal.path.with_suffix(".jsonl.1").exists()
