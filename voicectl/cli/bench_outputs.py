"""The files that `voicectl bench` writes: looked at before a run, written after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl.bench.report.files import SUFFIX, check_writable, default_name, write_record, write_whole
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from voicectl.bench.run_record import RunRecord
    from voicectl.bench.summary import RunSummary

Limits = Sequence[tuple[str, float, float]]
"""Thresholds of v2v percentiles that the page draws: text, share, seconds."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the files go. `record` is None where none is written."""

    record: Path | None
    junit: Path | None
    html: Path | None

    @classmethod
    def checked(cls, folder: Path | None, junit: Path | None, html: Path | None, now: datetime | None) -> "Outputs":
        """Return the outputs once it is clear that they can be written; `now` names the record. Raises UsageError."""
        if folder is not None and not folder.is_dir():
            reason = "is no folder" if folder.exists() else "does not exist"
            raise UsageError(f"--out {folder} {reason}", hint=f"mkdir -p {folder}")
        record = None if now is None else (folder or Path()) / default_name(now)
        for option, path in (("--out", record), ("--junit", junit), ("--html", html)):
            if path is not None:
                check_writable(path, option=option)
        named = [path.absolute() for path in (record, junit, html) if path is not None]
        if len(set(named)) < len(named):
            raise UsageError("two outputs have the same name", hint="name another file")
        return cls(record, junit, html)

    def record_of_level(self, number: int) -> Path | None:
        """Return where the record of one level of a search goes."""
        if self.record is None:
            return None
        return self.record.with_name(self.record.name.removesuffix(SUFFIX) + f"-level-{number}{SUFFIX}")

    def write_reports(self, record: "RunRecord", summary: "RunSummary", limits: Limits = ()) -> None:
        """Write JUnit and the page, those that are wanted. Raises UsageError."""
        if self.junit is not None:
            from voicectl.bench.report.junit import junit_bytes

            write_whole(self.junit, junit_bytes(record, summary))
        if self.html is not None:
            from voicectl.bench.report.page import page_bytes

            write_whole(self.html, page_bytes(record, summary, limits))

    def write_record(self, record: "RunRecord") -> None:
        """Write the record. Raises UsageError."""
        if self.record is not None:
            write_record(self.record, record)

    def names(self) -> dict[str, str | None]:
        """Return the names of the files, for the document."""
        named = {"record": self.record, "junit": self.junit, "html": self.html}
        return {kind: None if path is None else str(path) for kind, path in named.items()}
