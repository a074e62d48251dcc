"""What a bench run observed, raw: calls, turns, the generator's own punctuality. Judges nothing.

All instants are seconds on one monotonic clock that starts with the run (`0` is the scheduled start of the
first second of load); durations are seconds. None means that it was not observed. A record is what `bench run`
writes to disk, what `bench report` reads back, and what `bench compare` compares.
"""

from dataclasses import dataclass, field
from typing import Literal

TurnKind = Literal["speech", "barge-in", "dtmf", "silence", "noise"]
"""What a turn's script does. Only `speech` and `barge-in` want an answer; the others must not get one."""

TurnEnd = Literal["answered", "timed-out", "cut-in", "call-lost", "not-wanted", "answered-unasked"]
"""How a turn ended. `timed-out` and `call-lost` are right-censored: their latency is at least `censored_s`."""

CallEnd = Literal["completed", "refused", "lost", "unfinished"]


@dataclass(frozen=True, slots=True)
class TurnSample:
    """One turn of one call.

    `intended_at` is when the caller's last voiced sample was to leave by the schedule, `v2v_s` is counted from
    there to the first audible sample of the answer, however late anything was sent. A barge-in whose reply still
    sounded when the caller stopped waiting has no `barge_in_stop_s`: it is at least `barge_in_censored_s`.
    """

    turn: int
    name: str
    kind: TurnKind
    end: TurnEnd
    intended_at: float | None
    v2v_s: float | None = None
    censored_s: float | None = None
    eou_to_first_audio_s: float | None = None
    barge_in_stop_s: float | None = None
    barge_in_censored_s: float | None = None
    stages_s: dict[str, float | None] = field(default_factory=dict)
    reference: str | None = None
    transcript: str | None = None
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class CallSample:
    """One call: when it was to start, when its connection was asked for and stood, and how it ended."""

    call: int
    workload: str
    scheduled_at: float
    started_at: float | None
    connected_at: float | None
    ended_at: float | None
    end: CallEnd
    failure: str | None = None
    turns: tuple[TurnSample, ...] = ()


@dataclass(frozen=True, slots=True)
class GeneratorHealth:
    """Whether the load came as it was meant to: lateness of frames and call starts, use of the client's cores.

    `lag_s` are samples of how late frames and starts were (a bounded, evenly thinned sample is enough);
    `cpu_share` is the largest share, 0 to 1, of one core that any process of the generator used, `stolen_share`
    the part of the processor time this machine asked for that its hypervisor gave to others.
    """

    lag_s: tuple[float, ...]
    cpu_share: float
    cores: int
    stolen_share: float = 0.0


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The load that was asked for. `arrivals` is "poisson", "gamma", "constant", "trace" or "closed"."""

    workload: str
    workload_digest: str
    seed: int
    arrivals: str
    calls_per_minute: float | None
    concurrency: int | None
    burstiness: float | None
    duration_s: float
    answer_timeout_s: float


@dataclass(frozen=True, slots=True)
class Environment:
    """What makes two runs comparable. `server` is what the server says of itself (models, pins, profile)."""

    voicectl: str
    machine: str
    processor: str
    cores: int
    memory_bytes: int
    target: str
    private: bool
    server: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of `bench run`. `begun_at` is UTC, ISO 8601; `wall_s` the time from first start to last end."""

    format: int
    begun_at: str
    wall_s: float
    plan: LoadPlan
    environment: Environment
    health: GeneratorHealth
    calls: tuple[CallSample, ...]


FORMAT = 1
"""Version of the written form; readers refuse any other."""
