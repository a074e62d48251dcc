"""The rubric: what calls are scored by, read strictly from YAML, with a digest that names it."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from voicectl.core.errors import ConfigError
from voicectl.core.strict_yaml import read_mapping
from voicectl.governance.score.phrases import Phrase, compiled

MAX_RUBRIC_BYTES: Final = 65_536
PACKAGED: Final = Path(__file__).with_name("rubric.yaml")
_NAME: Final = r"^[a-z][a-z0-9_]{0,40}$"

Name = Annotated[str, Field(pattern=_NAME)]
Patterns = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=400)], ...], Field(max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Part):
    """Where the rules draw the line."""

    disclosure_s: float = Field(gt=0, allow_inf_nan=False)
    dead_air_s: float = Field(gt=0, allow_inf_nan=False)
    misunderstandings: int = Field(ge=1)
    human_requests: int = Field(ge=1)


class Phrases(_Part):
    """Regular expressions over what was said."""

    human_request: Patterns
    opt_out: Patterns
    misunderstanding: Patterns
    knowledge_gap: Patterns
    disclosure: Patterns
    prohibited: dict[Name, Patterns] = Field(max_length=32)
    denied: dict[Name, Patterns] = Field(default={}, max_length=32)

    @field_validator("*")
    @classmethod
    def _patterns_compile(cls, found: tuple[str, ...] | dict[str, tuple[str, ...]]) -> object:
        for pattern in [one for group in found.values() for one in group] if isinstance(found, dict) else found:
            compiled(pattern)
        return found

    @model_validator(mode="after")
    def _what_is_denied_is_looked_for(self) -> Self:
        known = self.wanted.keys() | self.prohibited.keys()
        if unknown := sorted(self.denied.keys() - known):
            raise ValueError(f"denied: there are no phrases {unknown[0]!r}")
        if doubled := sorted(self.wanted.keys() & self.prohibited.keys()):
            raise ValueError(f"prohibited: {doubled[0]!r} is the name of other phrases")
        return self

    @property
    def wanted(self) -> dict[str, Patterns]:
        """The phrases that are not prohibited, by kind."""
        return {kind: getattr(self, kind) for kind in type(self).model_fields if kind not in ("prohibited", "denied")}


class JudgeRules(_Part):
    """What the language model is asked."""

    instructions: str = Field(min_length=1, max_length=8_000)
    failures: tuple[Name, ...] = Field(min_length=1, max_length=32)
    flags: dict[Name, str] = Field(max_length=16)

    @field_validator("failures")
    @classmethod
    def _each_is_named_once_none_first(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        if found[0] != "none":
            raise ValueError("the first failure must be none")
        if len(set(found)) < len(found):
            raise ValueError("a failure is named twice")
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
    def matchers(self) -> dict[str, Phrase]:
        """What to search for, by kind of phrase; what is prohibited under `prohibited:NAME`."""
        phrases = self.phrases
        named = {f"prohibited:{name}": self._phrase(name, patterns) for name, patterns in phrases.prohibited.items()}
        return {kind: self._phrase(kind, patterns) for kind, patterns in phrases.wanted.items()} | named

    def _phrase(self, name: str, patterns: Patterns) -> Phrase:
        denied = self.phrases.denied.get(name, ())
        return Phrase(tuple(map(compiled, patterns)), tuple(map(compiled, denied)))


def packaged_rubric() -> Rubric:
    """Return the rubric that comes with voicectl."""
    return read_rubric(PACKAGED)


def read_rubric(path: Path) -> Rubric:
    """Return the rubric of a file. Raises ConfigError naming the file and the key."""
    hint = "docs/scoring-and-reports.md describes every key of a rubric"
    document = read_mapping(path, MAX_RUBRIC_BYTES, what="rubric", hint=hint)
    try:
        return Rubric.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigError(f"{path}: {place}: {first['msg']}", hint=hint) from error
