"""What a pull and its sources tell each other: how far they are, to stop, or that a source has nothing."""

from typing import Protocol


class Progress(Protocol):
    """Watches a pull. Called from several threads."""

    def started(self, item: str, total_bytes: int | None) -> None:
        """Learn that `item` began; `total_bytes` is None while unknown."""
        ...

    def advanced(self, item: str, done_bytes: int) -> None:
        """Learn that `done_bytes` of `item` are here, those of earlier runs included."""
        ...

    def finished(self, item: str) -> None:
        """Learn that `item` is complete or given up."""
        ...


class SilentProgress:
    """Watches nothing."""

    def started(self, item: str, total_bytes: int | None) -> None:
        """Ignore it."""

    def advanced(self, item: str, done_bytes: int) -> None:
        """Ignore it."""

    def finished(self, item: str) -> None:
        """Ignore it."""


class PullStopped(Exception):
    """The pull was told to stop; what is here can be resumed."""


class SourceUnavailable(Exception):
    """A source cannot give a file, the text says why; the pull goes on with the next source."""
