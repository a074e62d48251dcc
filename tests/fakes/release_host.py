"""A host in a folder: real files and processes, a service manager of its own, releases to be broken on purpose."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicectl.provision.program import write_program

PROGRAMS = Path(__file__).parent / "host"
BLOB = b"weights of a small model"
BLOB_SHA256 = hashlib.sha256(BLOB).hexdigest()
MODELS_LOCK = f"""version = 1

[[model]]
name = "small"

[[model.file]]
path = "model.bin"
sha256 = "{BLOB_SHA256}"
size = {len(BLOB)}
"""
GOLDEN = {"transcript": "What is the capital of France?", "max_wer": 0.2, "max_v2v_ms": 3000}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the program of the host printed, and how it ended."""

    code: int
    document: dict[str, Any]
    error: str


class ReleaseHost:
    """One host below `root`, which must be empty."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port, self.gate_port = _free_ports(2)
        for folder in ("usr/bin", "etc/systemd/system", "etc/voicectl", "opt/voicectl/releases", "opt/voicectl/lib"):
            (root / folder).mkdir(parents=True)
        for folder in ("var/lib/voicectl/blobs", "run"):
            (root / folder).mkdir(parents=True)
        (root / "proc").symlink_to("/proc")
        (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
        _program(PROGRAMS / "systemctl.py", root / "usr/bin/systemctl")
        (root / "usr/bin/journalctl").write_text("#!/bin/sh\necho the last words of the service\n")
        (root / "usr/bin/journalctl").chmod(0o755)
        blob = root / "var/lib/voicectl/blobs/sha256" / BLOB_SHA256[:2] / BLOB_SHA256
        blob.parent.mkdir(parents=True)
        blob.write_bytes(BLOB)
        self.program = root / "opt/voicectl/lib/release.pyz"
        write_program(self.program)

    # --- releases ------------------------------------------------------------------------------

    def place(
        self, version: str, *, serial: int = 1, manifest: Mapping[str, Any] | None = None, **behaviour: Any
    ) -> str:
        """Put a release where an installation puts it, not staged; return its name."""
        files = {
            "models.lock": MODELS_LOCK.encode(),
            "golden/golden.wav": b"RIFF",
            "golden/golden.json": json.dumps(GOLDEN).encode(),
            "behaviour.json": json.dumps(behaviour).encode(),
        }
        entries = [{"path": path, "size": len(text), "sha256": _digest(text)} for path, text in files.items()]
        entries.append({"path": f"blobs/sha256/{BLOB_SHA256[:2]}/{BLOB_SHA256}", "size": len(BLOB)})
        entries[-1]["sha256"] = BLOB_SHA256
        document = {"schema": 1, "version": version, "serial": serial, "files": entries, **(manifest or {})}
        files["manifest.json"] = json.dumps(document).encode()
        release_id = f"{version}-{_digest(files['manifest.json'])[:12]}"
        folder = self.release(release_id)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(text)
        (folder / "venv/bin").mkdir(parents=True)
        (folder / "venv/bin/python3").symlink_to("/usr/bin/python3")
        _program(PROGRAMS / "voicectl.py", folder / "venv/bin/voicectl")
        self.configure(release_id)
        return release_id

    def configure(self, release_id: str, **settings: Any) -> None:
        """Write the units and settings of a release, as the installation renders them."""
        system = self.release(release_id) / "system"
        system.mkdir(exist_ok=True)
        start = f"ExecStart={self.release(release_id)}/venv/bin/voicectl serve --keys {self.root}/etc/voicectl/gate.key"
        (system / "voicectl.service").write_text(f"[Service]\n{start} --port {self.port}\n")
        gate = f"{start.replace(release_id, '%i')} --gate"
        (system / "voicectl-gate@.service").write_text(f"[Service]\n{gate} --port {self.gate_port}\n")
        values = {"url": f"http://127.0.0.1:{self.port}", "gate_port": self.gate_port, "user": "root", **settings}
        (system / "service.json").write_text(json.dumps(values))

    def staged(self, version: str, **how: Any) -> str:
        """Place and stage a release; return its name."""
        release_id = self.place(version, **how)
        answer = self.run("stage", release_id)
        assert answer.code == 0, answer
        return release_id

    def active(self, version: str, **how: Any) -> str:
        """Place, stage and activate a release that passes; return its name."""
        release_id = self.staged(version, **how)
        answer = self.run("activate", release_id)
        assert answer.code == 0, answer
        return release_id

    def release(self, release_id: str) -> Path:
        """Return the folder of a release."""
        return self.root / "opt/voicectl/releases" / release_id

    # --- the program ---------------------------------------------------------------------------

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the program of the host."""
        return subprocess.Popen(
            [sys.executable, "-I", str(self.program), "--root", str(self.root), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Answer:
        """Run the program of the host to its end."""
        program = self.begin(*arguments)
        out, error = program.communicate(timeout=100)
        return Answer(program.returncode, json.loads(out) if out else {}, error)

    def state(self) -> dict[str, Any]:
        """Return what the host remembers."""
        document: dict[str, Any] = json.loads((self.root / "var/lib/voicectl/release/state.json").read_text())
        return document

    def events(self) -> list[dict[str, Any]]:
        """Return the journal."""
        text = (self.root / "var/lib/voicectl/release/journal.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    # --- the service ---------------------------------------------------------------------------

    def linked(self) -> str | None:
        """Return the release that `current` points to."""
        link = self.root / "opt/voicectl/current"
        return link.readlink().name if link.is_symlink() else None

    def serving(self) -> str | None:
        """Return the release that answers on the service's port; None when nothing does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
                return str(json.load(answer)["release"])
        except OSError:
            return None

    def systemctl(self, *arguments: str) -> int:
        """Tell the service manager something."""
        return subprocess.run(
            [self.root / "usr/bin/systemctl", *arguments], check=False, capture_output=True
        ).returncode

    def lose_power(self) -> None:
        """End all processes of the host at once, and what only memory held."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for path in sorted((self.root / "run").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def boot(self) -> Answer:
        """Do what the host does when it starts: recover, then start what is enabled."""
        answer = self.run("recover", "--boot")
        if (self.root / "etc/systemd/system/multi-user.target.wants/voicectl.service").exists() and self.linked():
            self.systemctl("start", "voicectl.service")
        return answer

    def _processes(self) -> list[int]:
        mark = str(self.root).encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes():
                    found.append(int(path.parent.name))
        return found


def _program(source: Path, path: Path) -> None:
    path.write_text(f"#!{sys.executable} -IS\n{source.read_text()}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
