"""The memory of a host on disk: its state, its list of files for each release, and a journal of what was done."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from . import inventory
from .durable import append_line, write_atomically
from .faults import Damaged
from .inventory import Item
from .layout import Layout, refuse_unsafe_folder
from .state import Release, State, decode, encode

MAX_JOURNAL_BYTES: Final = 4_000_000
_PRIVATE_FOLDER: Final = 0o700


def now_text() -> str:
    """Return this instant, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Records:
    """State and journal of one host. The journal is for people: what is decided depends on the state alone."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = layout.state / "state.json"
        self._journal = layout.state / "journal.jsonl"

    def prepare(self) -> None:
        """Make the folders. Raises Refused when others than root could change what is in them."""
        state = self._layout.state
        for folder in (state, state / "inventory", self._layout.live, self._layout.before):
            folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            refuse_unsafe_folder(folder)

    def load(self) -> State:
        """Return the state, an empty one on a new host. Raises Damaged when it is lost or cannot be read."""
        try:
            return decode(self._path.read_bytes())
        except FileNotFoundError:
            if self._layout.link.is_symlink():
                raise Damaged(
                    f"{self._path} is lost, and a release is active",
                    hint=f"restore it from a backup, or remove {self._layout.link} and install again",
                ) from None
            return State()
        except OSError as error:
            raise Damaged(f"{self._path}: {error.strerror}") from error

    def save(self, state: State) -> None:
        """Replace the state, and return when it is on disk."""
        write_atomically(self._path, encode(state))

    def note(self, event: str, **values: Any) -> None:
        """Add an event to the journal. Of a journal that has grown too long the older half goes."""
        if self._journal.exists() and self._journal.stat().st_size > MAX_JOURNAL_BYTES:
            lines = self._journal.read_bytes().splitlines(keepends=True)
            write_atomically(self._journal, b"".join(lines[len(lines) // 2 :]))
        append_line(self._journal, json.dumps({"at": now_text(), "event": event, **values}, ensure_ascii=False))

    def keep_inventory(self, release_id: str, items: dict[str, Item]) -> str:
        """Write down what is in a release; return the digest of the list."""
        content = inventory.encode(items)
        write_atomically(self._layout.inventory(release_id), content)
        return hashlib.sha256(content).hexdigest()

    def inventory_of(self, release: Release) -> dict[str, Item]:
        """Return what is in a release. Raises Damaged when the list is lost or another one."""
        path: Path = self._layout.inventory(release.release_id)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror}") from error
        return inventory.decode(content, release.inventory_sha256, path)
