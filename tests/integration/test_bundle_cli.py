"""Tests of `voicectl bundle sign|verify|inspect` as a person calls them: texts, documents, exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.small_bundle import PRINCIPAL, Signer, make_bundle, make_signer
from voicectl.cli.main import main
from voicectl.core.paths import HOME_VARIABLE


@pytest.fixture
def trusted(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "trusted")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "small.vcb"
    make_bundle(path)
    return path


@pytest.fixture
def signed(bundle: Path, trusted: Signer) -> Path:
    assert main(["bundle", "sign", str(bundle), "--key", str(trusted.key)]) == 0
    return bundle


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def test_bundle_that_was_signed_is_verified(signed: Path, trusted: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["bundle", "verify", str(signed), "--allowed-signers", str(trusted.allowed), "--json"]) == 0
    told = document(capsys)
    assert told["signed_by"] == PRINCIPAL
    assert told["release_id"] == f"1.2.0-{told['manifest_sha256'][:12]}"
    assert told["content"]["blobs"] == {"num_files": 1, "bytes": 2304}


def test_text_for_people_says_who_signed_what(
    signed: Path, trusted: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "verify", str(signed), "--allowed-signers", str(trusted.allowed)]) == 0
    shown = capsys.readouterr().out
    assert f"signed by {PRINCIPAL}, every byte as signed" in shown
    assert "debian 12 x86_64, Python 3.11" in shown


def test_unsigned_bundle_is_refused_and_accepted_only_loudly(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(bundle)]) == 4
    assert "is not signed" in capsys.readouterr().err
    assert main(["bundle", "verify", str(bundle), "--allow-unsigned", "--json"]) == 0
    captured = capsys.readouterr()
    assert "WARNING: this bundle is NOT SIGNED" in captured.err
    assert json.loads(captured.out)["signed"] is False


def test_signer_may_be_named_by_the_environment(signed: Path, trusted: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECTL_ALLOWED_SIGNERS", str(trusted.allowed))
    assert main(["bundle", "verify", str(signed)]) == 0


@pytest.mark.parametrize(
    ("options", "words"), [('valid-before="20200101"', "key has expired"), ('namespaces="git"', "to sign bundles")]
)
def test_refused_signer_has_exit_code_cause_and_hint(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    signer = make_signer(tmp_path / "k", options=options)
    assert main(["bundle", "sign", str(bundle), "--key", str(signer.key)]) == 0
    capsys.readouterr()
    assert main(["bundle", "verify", str(bundle), "--allowed-signers", str(signer.allowed), "--json"]) == 4
    error = document(capsys)["error"]
    assert words in error["message"]
    assert error["hint"]
    assert error["exit_code"] == 4


def test_unknown_signer_is_refused(signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = make_signer(tmp_path / "stranger")
    assert main(["bundle", "verify", str(signed), "--allowed-signers", str(stranger.allowed)]) == 4
    assert "signed by nobody in" in capsys.readouterr().err


def test_absent_files_are_told_apart(signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(tmp_path / "absent.vcb")]) == 2
    assert main(["bundle", "verify", str(signed), "--allowed-signers", str(tmp_path / "absent")]) == 3
    assert main(["bundle", "sign", str(signed), "--key", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.count("hint:") == 3


def test_altered_bundle_ends_the_program_with_4(signed: Path, trusted: Signer) -> None:
    blob = bytearray(signed.read_bytes())
    blob[-2000] ^= 0x20
    signed.write_bytes(blob)
    command = [sys.executable, "-m", "voicectl", "bundle", "verify", signed, "--allowed-signers", trusted.allowed]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 4
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr


def test_inspection_lists_files_and_says_that_nothing_was_verified(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "inspect", str(bundle), "--files", "--json"]) == 0
    told = document(capsys)
    assert told["verified"] is False
    assert told["signed"] is False
    assert [file["path"] for file in told["files"]][:2] == ["blobs/sha256/ab/abcd", "debs/Packages"]
    assert main(["bundle", "inspect", str(bundle)]) == 0
    assert "not signed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--profile", "cpuu"], 2, "packaged profiles only"),
        (["--profile", "./mine.yaml"], 2, "packaged profiles only"),
        (["--release", "debian11"], 2, "no bundle can be made for 'debian11'"),
        (["--apt-sources", "/nonexistent"], 3, "cannot be read"),
        (["--serial", "-1"], 2, "--serial"),
    ],
)
def test_bundle_that_cannot_be_built_is_refused_at_once(
    arguments: list[str], status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "build", "--output", str(tmp_path / "out"), *arguments]) == status
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_build_without_the_models_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    assert main(["bundle", "build", "--serial", "1", "--output", str(tmp_path / "out")]) == 5
    assert "voicectl models pull" in capsys.readouterr().err
