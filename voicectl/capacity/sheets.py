"""Data sheets of hardware, shapes of models, prices of hosted platforms: the files below `profiles/`, read strictly."""

import difflib
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicectl.core.config import packaged_profiles
from voicectl.core.errors import ConfigError
from voicectl.core.strict_yaml import read_mapping

MAX_BYTES: Final = 65_536
NAME: Final = r"^[a-z0-9][a-z0-9.-]{0,63}$"


class Sheet(BaseModel):
    """A table of such a file: unknown keys are errors. Numbers like 8.03e9 are text to YAML and become numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HardwareSheet(Sheet):
    """One kind of host by its data sheet. `core_speed` is against the reference processor of `voices`."""

    name: str = Field(pattern=NAME)
    description: str
    gpu: str
    gpu_memory_gb: float = Field(gt=0)
    gpu_bandwidth_gbs: float = Field(gt=0)
    gpu_tflops: float = Field(gt=0)
    cpu_cores: int = Field(ge=1, le=1024)
    memory_gb: float = Field(gt=0)
    core_speed: float = Field(gt=0, le=4)
    power_w: float = Field(gt=0)
    assumed_price_usd: float = Field(ge=0)


class LanguageModelShape(Sheet):
    """A transformer by its numbers."""

    parameters: float = Field(gt=0)
    active: float = Field(gt=0)
    layers: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head: int = Field(gt=0)


class SpeechModelShape(Sheet):
    """A Whisper by its numbers."""

    encoder: float = Field(gt=0)
    decoder: float = Field(gt=0)
    working_gb: float = Field(gt=0)


class ModelSheet(Sheet):
    """What `sizing/models.yaml` holds."""

    language_models: dict[str, LanguageModelShape]
    quantisations: dict[str, float]
    kv_types: dict[str, float]
    speech_models: dict[str, SpeechModelShape]
    voices: dict[str, float]

    def language_model(self, name: str) -> tuple[LanguageModelShape, str]:
        """Return the shape and the quantisation of a model by its name in models.lock. Raises ConfigError."""
        for known, shape in self.language_models.items():
            quantisation = name.rpartition("-")[2]
            plain = name.removesuffix(f"-{quantisation}").removesuffix("-instruct")
            if plain == known and quantisation in self.quantisations:
                return shape, quantisation
        raise ConfigError(
            f"the shape of {name} is not known",
            hint=f"models whose memory can be planned: {', '.join(self.language_models)}, as NAME-QUANTISATION",
        )

    def bits(self, quantisation: str) -> float:
        """Return the bits of a weight. Raises ConfigError."""
        if quantisation not in self.quantisations:
            raise ConfigError(
                f"no quantisation is called {quantisation!r}", hint=f"there are {', '.join(self.quantisations)}"
            )
        return self.quantisations[quantisation]


class HostedPrice(Sheet):
    """What a minute costs at a platform, US dollars."""

    name: str
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    what: str


class Range(Sheet):
    """From, to."""

    low: float = Field(ge=0)
    high: float = Field(ge=0)


class PriceSheet(Sheet):
    """What `sizing/prices.yaml` holds."""

    source: str
    hosted: tuple[HostedPrice, ...]
    telephony: Range


S = TypeVar("S", bound=Sheet)


def sheets_folder() -> Path:
    """Return the folder that holds profiles, and below it `hardware` and `sizing`."""
    return next(iter(packaged_profiles().values())).parent


@cache
def hardware_sheets() -> dict[str, HardwareSheet]:
    """Return the data sheets that came with this voicectl, by name."""
    sheets = [_read(path, HardwareSheet) for path in sorted((sheets_folder() / "hardware").glob("*.yaml"))]
    return {sheet.name: sheet for sheet in sheets}


def hardware_sheet(name: str) -> HardwareSheet:
    """Return a data sheet by name, or that in a file ending .yaml. Raises ConfigError."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return _read(Path(name), HardwareSheet)
    known = hardware_sheets()
    if name.lower() not in known:
        close = difflib.get_close_matches(name.lower(), known, n=1)
        hint = (
            f"did you mean {close[0]}?" if close else "name one of these, or the path of a .yaml file of the same keys"
        )
        raise ConfigError(f"no data sheet is called {name!r}; there are {', '.join(known)}", hint=hint)
    return known[name.lower()]


@cache
def model_sheet() -> ModelSheet:
    """Return the shapes of models."""
    return _read(sheets_folder() / "sizing" / "models.yaml", ModelSheet)


@cache
def price_sheet() -> PriceSheet:
    """Return the prices of hosted platforms."""
    return _read(sheets_folder() / "sizing" / "prices.yaml", PriceSheet)


def _read(path: Path, kind: type[S]) -> S:
    document: dict[str, Any] = read_mapping(
        path, MAX_BYTES, what="data sheet", hint="see those in the folder profiles/hardware"
    )
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(map(str, one['loc']))}: {one['msg'][:1].lower()}{one['msg'][1:]}"
            for one in error.errors(include_url=False, include_context=False)
        ]
        raise ConfigError(
            "\n       ".join(problems), hint="the keys are those of the files in profiles/hardware"
        ) from error
