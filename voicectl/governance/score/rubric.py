"""The rubric: what calls are scored by, read strictly from YAML, with a digest that names it."""

import hashlib
import re
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from voicectl.core.errors import ConfigError

MAX_RUBRIC_BYTES: Final = 65_536
PACKAGED: Final = "rubric.yaml"
_NAME: Final = r"^[a-z][a-z0-9_]{0,40}$"

Name = Annotated[str, Field(pattern=_NAME)]
Patterns = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=400)], ...], Field(max_length=64)]
PhraseKind = Literal["human_request", "human_request_denied", "opt_out", "misunderstanding", "knowledge_gap"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Part):
    """Where the rules draw the line."""

    disclosure_s: float = Field(gt=0)
    dead_air_s: float = Field(gt=0)
    misunderstandings: int = Field(ge=1)
    human_requests: int = Field(ge=1)


class Phrases(_Part):
    """Regular expressions over what was said."""

    human_request: Patterns
    human_request_denied: Patterns
    opt_out: Patterns
    misunderstanding: Patterns
    knowledge_gap: Patterns
    disclosure: Patterns
    prohibited: dict[Name, Patterns] = Field(max_length=32)

    @field_validator("*")
    @classmethod
    def _patterns_compile(cls, found: tuple[str, ...] | dict[str, tuple[str, ...]]) -> object:
        for pattern in [one for group in found.values() for one in group] if isinstance(found, dict) else found:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return found


class JudgeRules(_Part):
    """What the language model is asked."""

    instructions: str = Field(min_length=1, max_length=8_000)
    failures: tuple[Name, ...] = Field(min_length=1, max_length=32)
    flags: dict[Name, str] = Field(max_length=16)

    @field_validator("failures")
    @classmethod
    def _none_comes_first(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        if found[0] != "none":
            raise ValueError("the first failure must be none")
        return found


class Rubric(_Part):
    """The whole rubric; `digest` changes with any byte of it."""

    version: str = Field(min_length=1, max_length=32)
    limits: Limits
    phrases: Phrases
    judge: JudgeRules

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    @cached_property
    def digest(self) -> str:
        """The sha256 of the rubric's content, hexadecimal."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @cached_property
    def matchers(self) -> dict[str, re.Pattern[str]]:
        """One expression a kind of phrase; those that are prohibited under `prohibited:NAME`."""
        plain = {kind: getattr(self.phrases, kind) for kind in type(self.phrases).model_fields if kind != "prohibited"}
        named = {f"prohibited:{name}": patterns for name, patterns in self.phrases.prohibited.items()}
        return {kind: _joined(patterns) for kind, patterns in (plain | named).items()}


def packaged_rubric() -> Rubric:
    """Return the rubric that comes with voicectl."""
    return _parsed(files(__package__).joinpath(PACKAGED).read_bytes(), "the packaged rubric")


def read_rubric(path: Path) -> Rubric:
    """Return the rubric of a file. Raises ConfigError naming the file and the key."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RUBRIC_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="give the path of a rubric in YAML") from error
    return _parsed(content, str(path))


def _parsed(content: bytes, origin: str) -> Rubric:
    if len(content) > MAX_RUBRIC_BYTES:
        raise ConfigError(f"{origin}: a rubric has at most {MAX_RUBRIC_BYTES} bytes")
    try:
        document = yaml.safe_load(content)
        return Rubric.model_validate(document)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigError(
            f"{origin}: {place}: {first['msg']}", hint="docs/scoring-and-reports.md describes every key of a rubric"
        ) from error


def _joined(patterns: tuple[str, ...]) -> re.Pattern[str]:
    if not patterns:
        return re.compile(r"(?!)")
    return re.compile(r"(?<!\w)(?:" + "|".join(patterns) + r")(?!\w)", re.IGNORECASE)
