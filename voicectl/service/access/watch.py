"""Notice that files changed, by looking at them now and then. Knows nothing of what they hold."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

Signature = tuple[tuple[int, int, int] | None, ...]
"""What tells a changed file from an unchanged one: inode, size and time of change; None if there is none."""


def signature(paths: Sequence[Path]) -> Signature:
    """Return what the files look like now."""
    return tuple(_look(path) for path in paths)


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class FileWatch:
    """Calls `changed`, on a thread, each time one of the files is another than before."""

    def __init__(self, paths: Sequence[Path], changed: Callable[[], None], every_s: float) -> None:
        self._paths: Final = tuple(paths)
        self._changed = changed
        self._every_s = every_s
        self._seen = signature(self._paths)

    def look(self) -> bool:
        """Look once; return whether something had changed."""
        now = signature(self._paths)
        if now == self._seen:
            return False
        # Remembered before it is read: a change in between is seen the next time.
        self._seen = now
        self._changed()
        return True

    async def run(self, after: Callable[[], None] = lambda: None, *, look: Callable[[], bool] | None = None) -> None:
        """Look until cancelled, with `look` in place of our own; `after` is called on the event loop behind changes."""
        while True:
            await asyncio.sleep(self._every_s)
            if await asyncio.to_thread(look or self.look):
                after()
