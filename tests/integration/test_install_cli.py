"""The commands over hosts as an operator gets to know them: what is refused, how, and with which exit code."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.small_bundle import Signer, make_bundle, make_signer
from voicectl.weights.bundle.write import sign_bundle

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Operator:
    """A person in a folder of their own; nothing of this machine's is theirs."""

    folder: Path
    run: Callable[..., subprocess.CompletedProcess[str]]

    @property
    def state(self) -> Path:
        return self.folder / "home" / "operator"


@pytest.fixture
def operator(
    tmp_path: Path, command_line: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> Operator:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VOICECTL_HOME", str(folder / "home"))
    return Operator(folder, command_line)


@pytest.fixture
def port() -> Iterator[int]:
    # Bound and not listening: whoever connects is refused, and nobody else can take the port meanwhile.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("signer"))


def signed(path: Path, signer: Signer, **changes: object) -> list[str]:
    make_bundle(path, **changes)
    sign_bundle(path, signer.key)
    return ["--bundle", str(path), "--allowed-signers", str(signer.allowed)]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("install",), 2, "no host is named"),
        (("install", "gw1", "--local"), 2, "more than one way"),
        (("install", "gw1", "--inventry", "x"), 2, "No such option: --inventry"),
        (("install", "gw1", "--inventory"), 2, "requires an argument"),
        (("install", "--inventory", "/nowhere"), 2, "/nowhere: no such file"),
        (("install", "a b"), 2, "is no host"),
        (("install", "gw1", "gw1"), 2, "named twice"),
        (("install", "gw1", "--key", "/nowhere"), 2, "--key /nowhere: no such file"),
        (("install", "gw1", "--allow-from", "everybody"), 2, "is no network"),
        (("install", "gw1", "--bind", "eth0"), 2, "is no address"),
        (("install", "gw1", "--port", "0"), 2, "--port"),
        (("install", "gw1", "--set", "server.prot=1"), 2, "unknown key"),
        (("install", "gw1"), 5, "no *.vcb bundle in"),
        (("install", "gw1", "--bundle", "missing.vcb"), 2, "--bundle missing.vcb: no such file"),
        (("install", "gw1", "--bundle", "."), 2, "is a folder"),
        (("upgrade",), 2, "no host is named"),
        (("rollback",), 2, "no host is named"),
        (("status",), 2, "no host is named"),
        (("uninstall",), 2, "no host is named"),
        (("support-bundle",), 2, "no host is named"),
        (("support-bundle", "gw1", "--output", "/nowhere/x.tar.gz"), 2, "does not exist"),
        (("doctor", "--profile", "cpuu"), 3, "did you mean cpu?"),
        (("instal",), 2, "Did you mean 'install'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_command_that_cannot_be_meant_is_refused(
    operator: Operator, arguments: tuple[str, ...], status: int, words: str
) -> None:
    finished = operator.run(*arguments)
    assert finished.returncode == status, finished.stderr
    assert words in finished.stderr
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr


def test_several_bundles_in_the_folder_are_not_guessed_from(operator: Operator) -> None:
    for name in ("a.vcb", "b.vcb"):
        (operator.folder / name).write_bytes(b"x")
    finished = operator.run("install", "gw1")
    assert finished.returncode == 2
    assert "a.vcb, b.vcb" in finished.stderr


def test_file_that_is_no_bundle_is_refused_before_any_host_is_asked(operator: Operator) -> None:
    (operator.folder / "x.vcb").write_bytes(b"this is no bundle\n" * 100)
    finished = operator.run("install", "nobody.invalid")
    assert finished.returncode == 4
    assert "nobody.invalid" not in finished.stderr


def test_unsigned_bundle_needs_a_word_from_the_operator(operator: Operator, port: int) -> None:
    make_bundle(operator.folder / "x.vcb")
    finished = operator.run("install", f"127.0.0.1:{port}")
    assert finished.returncode == 4
    assert "--allow-unsigned" in finished.stderr
    allowed = operator.run("install", f"127.0.0.1:{port}", "--allow-unsigned")
    assert allowed.returncode == 7


def test_bundle_for_another_profile_is_refused(operator: Operator, signer: Signer, port: int) -> None:
    options = signed(operator.folder / "x.vcb", signer)
    finished = operator.run("install", f"127.0.0.1:{port}", "--profile", "gpu-l40s", *options)
    assert finished.returncode == 3
    assert "the bundle is not for profile 'gpu-l40s'; it holds cpu" in finished.stderr


def test_all_hosts_that_cannot_be_reached_are_named_and_nothing_was_changed(
    operator: Operator, signer: Signer, port: int
) -> None:
    options = signed(operator.folder / "x.vcb", signer)
    finished = operator.run("install", f"root@127.0.0.1:{port}", "nobody.invalid", *options, "--json")
    assert finished.returncode == 7, finished.stderr
    document = json.loads(finished.stdout)
    assert document["error"]["exit_code"] == 7
    assert {host: entry["outcome"] for host, entry in document["hosts"].items()} == {
        "127.0.0.1": "unreachable",
        "nobody.invalid": "unreachable",
    }
    assert document["release"].startswith("1.2.0-")
    assert "2 of 2 hosts: not ready, nothing was changed" in finished.stderr
    assert "Connection refused" in finished.stderr
    assert "name cannot be resolved" in finished.stderr
    assert finished.stderr.count("fix: ") == 2
    assert not list((operator.state / "runs").glob("*"))


def test_this_machine_is_refused_with_every_reason_at_once(operator: Operator, signer: Signer) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: --local is refused before the checks")
    elsewhere = {"os": "debian", "os_version": "99", "arch": "riscv64", "python": "3.99", "cpu_flags": ("avx9000",)}
    options = signed(operator.folder / "x.vcb", signer, compatible=elsewhere)
    finished = operator.run("install", "--local", *options, "--json")
    assert finished.returncode == 3
    document = json.loads(finished.stdout)
    refused = {check["name"] for check in document["checks"]["localhost"] if check["level"] == "fail"}
    assert refused >= {"system", "architecture", "python", "cpu"}
    assert all(check["fix"] for check in document["checks"]["localhost"] if check["level"] != "ok")
    for name in refused:
        assert f"localhost: {name}: " in finished.stderr


def test_host_with_a_run_at_work_is_left_alone(operator: Operator, signer: Signer, port: int) -> None:
    options = signed(operator.folder / "x.vcb", signer)
    lock = operator.state / "locks" / f"127.0.0.1%3A{port}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        finished = operator.run("install", f"127.0.0.1:{port}", *options)
        assert finished.returncode == 11
        assert f"127.0.0.1:{port}: another run is at work there" in finished.stderr
        assert operator.run("status", f"127.0.0.1:{port}").returncode == 7


@pytest.mark.parametrize("command", ["rollback", "uninstall", "status"])
def test_unreachable_host_ends_every_command_with_7(operator: Operator, port: int, command: str) -> None:
    finished = operator.run(command, f"127.0.0.1:{port}", "--json")
    assert finished.returncode == 7, finished.stderr
    assert json.loads(finished.stdout)["hosts"]["127.0.0.1"]["exit_code"] == 7


def test_doctor_tells_every_check_of_this_machine_within_80_columns(operator: Operator) -> None:
    finished = operator.run("doctor")
    assert finished.returncode in {0, 3}
    names = ("system", "cpu", "memory", "disk", "port", "clock", "gpu", "driver", "container", "audio", "python")
    assert all(name in finished.stdout for name in names)
    assert max(map(len, finished.stdout.splitlines())) <= 80


def test_doctor_of_hosts_is_one_document(operator: Operator, port: int) -> None:
    finished = operator.run("doctor", f"127.0.0.1:{port}", "--json")
    assert finished.returncode == 7
    assert json.loads(finished.stdout)["exit_code"] == 7


def test_result_goes_through_a_pipe_whose_reader_leaves(operator: Operator) -> None:
    program = f"{sys.executable} -m voicectl doctor --json | head -n 1"
    environment = {**os.environ, "VOICECTL_HOME": str(operator.folder)}
    finished = subprocess.run(  # the shell is the reader that leaves
        ["sh", "-c", program], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert finished.stdout == "{\n"
    assert "Traceback" not in finished.stderr


def test_support_bundle_of_a_silent_host_still_has_the_operators_record(operator: Operator, port: int) -> None:
    operator.state.mkdir(parents=True)
    secret = "vk_0123456789ab_abcdefghijklmnopqrstuvwxyz"
    (operator.state / "journal.jsonl").write_text(json.dumps({"event": "x", "told": secret}) + "\n")
    finished = operator.run("support-bundle", f"127.0.0.1:{port}", "--output", "s.tar.gz")
    assert finished.returncode == 7
    path = operator.folder / "s.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        texts = {entry.name: archive.extractfile(entry) for entry in archive.getmembers()}
        journal = texts["s/operator/journal.jsonl"]
        assert journal is not None
        assert b"abcdefgh" not in journal.read()
        assert "s/127.0.0.1/unreachable.txt" in texts
    again = operator.run("support-bundle", f"127.0.0.1:{port}", "--output", "s.tar.gz")
    assert again.returncode == 2
    assert "exists already" in again.stderr
