"""Count what a stage does: waits, batches, computing time, how requests end. Knows no model and no server."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from voicectl.core.ports import Priority
from voicectl.engine.messages import Failed, ReplyBody

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 2.5)
"""Bucket edges of durations; 0.3, 0.5 and 0.8 s are where alerts are set."""
SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Bucket edges of batch sizes."""


class StageMeter:
    """The metrics every stage has, named `voicectl_<stage>_…`; may be called from any thread."""

    def __init__(self, registry: CollectorRegistry, stage: str) -> None:
        self._waits = Histogram(
            f"voicectl_{stage}_queue_wait_seconds",
            "Time from the arrival of a request to the start of its computation.",
            ["priority"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            f"voicectl_{stage}_batch_size", "Requests that ran together.", buckets=SIZES, registry=registry
        )
        self._times = Histogram(
            f"voicectl_{stage}_compute_seconds", "Time that a batch took.", buckets=SECONDS, registry=registry
        )
        self._audio = Counter(f"voicectl_{stage}_audio_seconds", "Audio heard or spoken.", registry=registry)
        self._ends = Counter(
            f"voicectl_{stage}_requests", "Requests by how they ended.", ["outcome"], registry=registry
        )

    def waited(self, priority: int, wait_s: float) -> None:
        """Count the wait of one request."""
        self._waits.labels(_priority_name(priority)).observe(wait_s)

    def computed(self, size: int, duration_s: float) -> None:
        """Count one batch."""
        self._batches.observe(size)
        self._times.observe(duration_s)

    def audio(self, seconds: float) -> None:
        """Count audio that was read or made."""
        self._audio.inc(seconds)

    def ended(self, reply: ReplyBody) -> None:
        """Count the terminal reply of a request."""
        self._ends.labels(reply.kind if isinstance(reply, Failed) else "done").inc()


def _priority_name(priority: int) -> str:
    return Priority(priority).name.lower() if priority in Priority.__members__.values() else "other"
