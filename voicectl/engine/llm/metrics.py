"""What the language model measures of itself. Knows no requests; a step costs it 3 µs."""

from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

StepKind = Literal["decode", "prefill"]
Move = Literal["parked", "unparked"]
Outcome = Literal["stop", "length", "tool_calls", "cancelled", "deadline", "rejected", "internal"]

_STEP_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 0.8, 2.0)
_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_MOVE_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


class LlmMetrics:
    """The metrics of one language model, all named `voicectl_llm_…`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in `registry`."""
        self._registry = registry
        steps = Histogram(
            "voicectl_llm_step_seconds",
            "Time of one run of the model.",
            ["kind"],
            buckets=_STEP_BUCKETS_S,
            registry=registry,
        )
        batch = Histogram(
            "voicectl_llm_batch_requests",
            "Requests that share one run of the model.",
            ["kind"],
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        tokens = Counter("voicectl_llm_tokens", "Tokens the model ran.", ["kind"], registry=registry)
        prompts = Counter(
            "voicectl_llm_prompt_tokens",
            "Tokens of prompts, found in the cache or to be run.",
            ["source"],
            registry=registry,
        )
        self._requests = Counter("voicectl_llm_requests", "Requests by how they ended.", ["outcome"], registry=registry)
        moves = Histogram(
            "voicectl_llm_move_seconds",
            "Time to park a session or to bring it back.",
            ["move"],
            buckets=_MOVE_BUCKETS_S,
            registry=registry,
        )
        self._dropped = Counter("voicectl_llm_parked_dropped", "Parked sessions that were lost.", registry=registry)
        self._splits = Counter(
            "voicectl_llm_batches_split", "Batches that failed and ran request by request.", registry=registry
        )
        kinds: tuple[StepKind, ...] = ("decode", "prefill")
        self._steps = {kind: (steps.labels(kind), batch.labels(kind), tokens.labels(kind)) for kind in kinds}
        self._cached, self._fresh = prompts.labels("cached"), prompts.labels("run")
        move_kinds: tuple[Move, ...] = ("parked", "unparked")
        self._moves = {move: moves.labels(move) for move in move_kinds}

    def ran(self, kind: StepKind, num_requests: int, num_tokens: int, duration_s: float) -> None:
        """Count one run of the model."""
        seconds, requests, tokens = self._steps[kind]
        seconds.observe(duration_s)
        requests.observe(num_requests)
        tokens.inc(num_tokens)

    def split(self) -> None:
        """Count a batch that failed."""
        self._splits.inc()

    def admitted(self, num_cached: int, num_fresh: int) -> None:
        """Count the tokens of a prompt."""
        self._cached.inc(num_cached)
        self._fresh.inc(num_fresh)

    def ended(self, outcome: Outcome) -> None:
        """Count the end of a request."""
        self._requests.labels(outcome).inc()

    def moved(self, move: Move, duration_s: float) -> None:
        """Count a session that was parked or came back."""
        self._moves[move].observe(duration_s)

    def dropped(self, num_sessions: int) -> None:
        """Count parked sessions that were lost."""
        if num_sessions:
            self._dropped.inc(num_sessions)

    def watch(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Report what `read` returns whenever the metrics are collected."""
        Gauge(f"voicectl_llm_{name}", documentation, registry=self._registry).set_function(read)
