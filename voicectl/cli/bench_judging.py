"""How the commands of `voicectl bench` judge a record: thresholds and warm-up as the command line has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicectl.cli.bench_load import parse_duration

if TYPE_CHECKING:
    from voicectl.bench.run_record import RunRecord
    from voicectl.bench.statistics.thresholds import Slo
    from voicectl.bench.summary import RunSummary


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run is held against. `warm_up_s` is what to drop; None: what is detected."""

    slos: "tuple[Slo, ...]"
    warm_up_s: float | None = None

    @classmethod
    def of(cls, slos: Sequence[str], warm_up: str | None) -> "Judgement":
        """Return the judgement that the options ask for. Raises UsageError."""
        from voicectl.bench.statistics.thresholds import parse_all

        warm_up_s = None if warm_up is None else parse_duration(warm_up, "--warm-up")
        return cls(parse_all(slos), warm_up_s)

    def judge(self, record: "RunRecord") -> "RunSummary":
        """Return what a record is worth."""
        from voicectl.bench.statistics.summarize import summarize

        return summarize(record, slos=self.slos, warm_up=self.warm_up_s)

    def limits(self) -> list[tuple[str, float, float]]:
        """Return the thresholds of v2v percentiles, for the plot: text, share, seconds."""
        return [(slo.text, slo.share, slo.bound) for slo in self.slos if slo.metric == "v2v" and slo.share is not None]
