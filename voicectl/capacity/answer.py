"""What a plan says, as plain values, and as JSON knows it. Computes nothing."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from voicectl.capacity.costs import Costs
from voicectl.capacity.erlang import Burst, Hosts
from voicectl.capacity.memory import MemoryMap
from voicectl.capacity.prediction import Knee, Prediction

Basis = Literal["measured", "ESTIMATE"]


@dataclass(frozen=True, slots=True)
class Limit:
    """What bounds the sessions of a host, and at how many; None where it bounds nothing."""

    name: str
    sessions: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Share:
    """What one live session takes of the host's cores or card, by stage."""

    stage: str
    place: str
    cores: float


@dataclass(frozen=True, slots=True)
class Pool:
    """The hosts of one language: a profile has one voice."""

    language: str
    share: float
    hosts: Hosts


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the profile, its value now and the one to apply."""

    key: str
    now: Any
    wanted: Any
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer. With `sessions` 0 the promise cannot be kept, and what depends on hosts is None."""

    basis: Basis
    basis_text: str
    profile: str
    hardware: str
    slo: str
    notes: tuple[str, ...]
    sessions: int
    knee: Knee
    limiting: str
    limits: tuple[Limit, ...]
    shares: tuple[Share, ...]
    peak_start: str
    peak_calls: float
    peak_erlangs: float
    blocking_target: float
    pools: tuple[Pool, ...]
    hosts: int | None
    hosts_with_loss: int | None
    burst: Burst | None
    card: MemoryMap | None
    ram: MemoryMap
    at_full: Prediction
    at_peak: Prediction | None
    costs: Costs | None
    settings: tuple[Setting, ...]

    def document(self) -> dict[str, Any]:
        """Return the plan as one JSON document."""
        document = asdict(self)
        for name in ("card", "ram"):
            memory: MemoryMap | None = getattr(self, name)
            if memory is not None:
                document[name] |= {"used_gb": memory.used_gb, "fits": memory.fits}
        document["knee"]["curve"] = [
            {"calls": calls, "v2v_s": value, "low_s": low, "high_s": high}
            for calls, value, low, high in self.knee.curve
        ]
        return document
