"""The archive for support is private, redacted, and never in place of another file."""

import json
import tarfile
from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.provision.journal import Journal
from voicectl.provision.probe import support
from voicectl.provision.supportbundle import COLLECTORS, _texts_of, operator_texts, write_archive

SECRET = "s3cr3tV4lue_xyz-123"


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_every_text_is_redacted_on_its_way_in(tmp_path: Path) -> None:
    path = tmp_path / "s.tar.gz"
    names = write_archive(path, {"gw1": {"a.txt": f"password={SECRET}\nfine"}, "gw2": {"b.txt": f"Bearer {SECRET}"}})
    assert names == ["gw1/a.txt", "gw2/b.txt"]
    assert SECRET not in "".join(contents(path).values())
    assert contents(path)["s/gw1/a.txt"].endswith("\nfine")


def test_archive_is_its_owners_alone(tmp_path: Path) -> None:
    write_archive(tmp_path / "s.tar.gz", {})
    assert (tmp_path / "s.tar.gz").stat().st_mode & 0o777 == 0o600


def test_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "s.tar.gz"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_archive(path, {})
    assert path.read_text() == "mine"


def test_operators_part_has_versions_journal_and_the_output_of_failed_runs(tmp_path: Path) -> None:
    Journal(tmp_path).note("run_began", run_id="r1", command="install", hosts=["a"])
    output = tmp_path / "runs/r1/run-2/artifacts/play/stdout"
    output.parent.mkdir(parents=True)
    output.write_text("fatal: [a]: FAILED!")
    texts = operator_texts(tmp_path, {"voicectl": "1"})
    assert set(texts) == {"versions.json", "journal.jsonl", "r1-run-2.txt"}
    assert json.loads(texts["journal.jsonl"])["run_id"] == "r1"


def test_collector_reads_neither_keys_nor_conversations() -> None:
    words = [word for command in support.COMMANDS.values() for word in command] + list(support.FILES.values())
    assert not any("keys.json" in word or "gate.key" in word or ".db" in word for word in words)
    assert not any("checkpoints" in folder or "webhooks" in folder for folder in support.FOLDERS)


def test_texts_of_a_host_come_compressed_and_behind_a_greeting(capsys: pytest.CaptureFixture[str]) -> None:
    support.main()
    told = "Welcome!\n" + capsys.readouterr().out
    texts = _texts_of(COLLECTORS[0], told)
    assert set(texts) == {*support.COMMANDS, *support.FILES, "files.txt"}
    assert "PRETTY_NAME" in texts["os-release.txt"]


def test_answer_that_is_none_is_kept_as_it_is() -> None:
    assert _texts_of(COLLECTORS[0], "Killed") == {"unreadable.txt": "Killed"}
    assert set(_texts_of(COLLECTORS[0], "")) == {"unreadable.txt"}
    assert set(_texts_of(COLLECTORS[0], None)) == {"unreachable.txt"}


def test_long_text_loses_its_beginning() -> None:
    text = support.tail(b"x" * (support.MAX_BYTES + 5) + b"end")
    assert text.endswith("end")
    assert text.startswith("[the beginning was left out]")
    assert len(text) < support.MAX_BYTES + 100


def test_missing_program_and_file_are_said_to_be_missing(tmp_path: Path) -> None:
    assert support.output_of(("/nowhere/program",)).startswith("[not there")
    assert support.file_text(str(tmp_path / "none")).startswith("[not there")
