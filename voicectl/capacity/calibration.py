"""A calibration as it is kept: what was measured where, with what, and how well the parameters describe it."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from voicectl.capacity.conversation import Conversation
from voicectl.capacity.fit import Residual
from voicectl.capacity.observations import LiveCall
from voicectl.capacity.speeds import Speeds
from voicectl.core.errors import ConfigError

FORMAT: Final = 2
MAX_BYTES: Final = 4_000_000
_HINT: Final = "make a new one with `voicectl plan calibrate`"


@dataclass(frozen=True, slots=True)
class Machine:
    """The host that was measured. `load` is how many of its cores other work took meanwhile."""

    processor: str
    cores: int
    memory_bytes: int
    gpu: str | None
    load: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration. `settings` are those of the profile that the speeds depend on, `pins` digests by model name."""

    format: int
    made_at: str
    took_s: float
    voicectl: str
    machine: Machine
    profile: str
    models: dict[str, str]
    pins: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    threads: dict[str, int]
    speeds: Speeds
    residuals: tuple[Residual, ...]
    live: LiveCall | None
    conversation: Conversation

    @property
    def kv_token_range(self) -> tuple[float, float]:
        """Return the resident tokens over which a step of replies was timed."""
        return self.range_of("decode", "context_tokens")

    def range_of(self, work: str, driver: str) -> tuple[float, float]:
        """Return the range in which a driver of some work was seen."""
        return next(one.ranges[driver] for one in self.residuals if one.work == work)


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Keep a calibration, whole or not at all. Raises ConfigError."""
    document = {**asdict(calibration), "speeds": calibration.speeds.document()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror or error}", hint="name another with --out"
        ) from error


def read_calibration(path: Path) -> Calibration:
    """Return the calibration in a file. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes is no calibration", hint=_HINT)
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no calibration of this host",
            hint="`voicectl plan calibrate` measures it in about a minute; "
            "or name a data sheet, for example --hardware l40s",
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a calibration: {error}", hint=_HINT) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ConfigError(f"{path}: is no calibration of format {FORMAT}", hint=_HINT)
    try:
        return _calibration(document)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: is no whole calibration: {type(error).__name__}: {error}", hint=_HINT) from error


def _calibration(document: dict[str, Any]) -> Calibration:
    live = document["live"]
    speeds = Speeds(**document["speeds"])
    numbers = {one.name: value for one in fields(speeds) if isinstance(value := getattr(speeds, one.name), int | float)}
    # Voice activity may end before the last audible sample, so this one may be negative.
    numbers["hearing_s"] += 1.0
    if not all(math.isfinite(one) and one >= 0 for one in numbers.values()) or speeds.cores < 1:
        raise ValueError("a speed is no positive number")
    residuals = tuple(
        Residual(**{**one, "ranges": {name: (low, high) for name, (low, high) in one["ranges"].items()}})
        for one in document["residuals"]
    )
    return Calibration(
        **{
            **document,
            "machine": Machine(**document["machine"]),
            "speeds": speeds,
            "residuals": residuals,
            "live": None if live is None else LiveCall(**{**live, "v2v_s": tuple(live["v2v_s"])}),
            "conversation": Conversation.read(document["conversation"]),
        }
    )
