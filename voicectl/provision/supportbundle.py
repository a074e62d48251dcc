"""One archive of what support needs: texts of every host and of the operator's machine, each without its secrets."""

import base64
import io
import json
import os
import tarfile
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError
from voicectl.provision.events import PlayEvent
from voicectl.provision.facts import COLLECTOR
from voicectl.provision.hosts import Host
from voicectl.provision.journal import Journal
from voicectl.provision.leftovers import FOLDER as RUNS_FOLDER
from voicectl.provision.playbooks import own_play
from voicectl.provision.probe import support
from voicectl.provision.redact import redact
from voicectl.provision.runner import Session

COLLECTORS: Final = (Path(support.__file__), COLLECTOR)
FACTS_NAME: Final = "facts.json"
MAX_JOURNAL_EVENTS: Final = 5_000
_OWNER_ONLY: Final = 0o600


def collect_hosts(session: Session, hosts: Sequence[Host]) -> dict[str, dict[str, str]]:
    """Return the texts of every host by name; a host that cannot be reached has one that says why."""
    texts: dict[str, dict[str, str]] = {host.name: {} for host in hosts}
    for script in COLLECTORS:
        for host, told in _run(session, hosts, script).items():
            texts[host] |= _texts_of(script, told)
    return texts


def operator_texts(state_folder: Path, about: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of the operator's machine: versions, journal, and the output of runs that failed."""
    events = list(Journal(state_folder).events())[-MAX_JOURNAL_EVENTS:]
    texts = {
        "versions.json": json.dumps(dict(about), indent=2) + "\n",
        "journal.jsonl": "".join(json.dumps(event) + "\n" for event in events),
    }
    for path in sorted((state_folder / RUNS_FOLDER).glob("*/run-*/artifacts/*/stdout")):
        run, number = path.parts[-5], path.parts[-4]
        texts[f"{run}-{number}.txt"] = path.read_text(encoding="utf-8", errors="replace")
    return texts


def write_archive(path: Path, folders: Mapping[str, Mapping[str, str]], *, now: float | None = None) -> list[str]:
    """Write the texts of all folders, redacted, into a new tar.gz that only its owner may read; return their names.

    Raises ConfigError when it cannot be written.
    """
    at = time.time() if now is None else now
    names = []
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for folder, texts in folders.items():
                for name, text in sorted(texts.items()):
                    content = redact(text).encode()
                    entry = tarfile.TarInfo(f"{path.name.split('.')[0]}/{folder}/{name}")
                    entry.size, entry.mtime, entry.mode = len(content), int(at), _OWNER_ONLY
                    archive.addfile(entry, io.BytesIO(content))
                    names.append(f"{folder}/{name}")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    return names


def _run(session: Session, hosts: Sequence[Host], script: Path) -> dict[str, str | None]:
    """Run a collector over all hosts; None for a host that did not answer."""
    told: dict[str, str | None] = {host.name: None for host in hosts}

    def received(event: PlayEvent) -> None:
        if event.kind == "task_ended" and event.host is not None:
            told[event.host] = str(event.result.get("stdout", ""))

    end = session.play(own_play("facts"), hosts, {"voicectl_script": str(script)}, on_event=received)
    if end.interrupted:
        raise KeyboardInterrupt
    return told


def _texts_of(script: Path, told: str | None) -> dict[str, str]:
    if told is None:
        return {"unreachable.txt": "The host did not answer, or did not let us in.\n"}
    if script == COLLECTOR:
        return {FACTS_NAME: told + "\n"}
    try:
        # A greeting of the login shell may stand before it.
        texts = json.loads(zlib.decompress(base64.b64decode(told.strip().rpartition("\n")[2])))
    except (ValueError, zlib.error):
        return {"unreadable.txt": told or "The host answered without a word.\n"}
    return {str(name): str(text) for name, text in texts.items()}
