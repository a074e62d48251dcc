"""The pins of every file voicectl may load: the schema of `models.lock`, its reading and canonical writing."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

import voicectl
from voicectl.core.errors import ConfigError, UsageError

ModelRole = Literal["stt", "llm", "tts", "turn", "vad"]
ModelFormat = Literal["ctranslate2", "gguf", "piper", "onnx"]

PARTS: Final = "parts"
"""The source that joins a file from its `[[model.file.part]]` tables."""

_HEADER = "# Every file voicectl may load, by digest. Canonical text: `voicectl models lock --write` renders it."
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_PATH = rf"{_SEGMENT}(?:/{_SEGMENT})*"
_WHEEL = re.compile(rf"pypi:(?P<distribution>{_SEGMENT})==(?P<version>[0-9A-Za-z.!+_-]+)#(?P<member>{_PATH})")
_HUB = re.compile(rf"hf:(?P<repository>{_SEGMENT}/{_SEGMENT})@(?P<revision>[0-9A-Za-z._-]+)#(?P<path>{_PATH})")
_LOCAL = re.compile(r"file:(?P<path>/[^\x00-\x1f\x7f]+)")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SizeBytes = Annotated[int, Field(strict=True, ge=0)]
RelativePath = Annotated[str, StringConstraints(pattern=rf"^{_PATH}$", max_length=255)]
Line = Annotated[str, StringConstraints(pattern=r"^[ -~]+$", max_length=300)]


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel of the Python package index."""

    distribution: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        """Return the exact requirement, as pip reads it."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a Hugging Face repository at a revision."""

    repository: str
    revision: str
    path: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this host."""

    path: Path


@dataclass(frozen=True, slots=True)
class JoinedParts:
    """The parts of the file, one behind the other."""


Source = WheelMember | HubFile | LocalFile | JoinedParts


def parse_source(text: str) -> Source:
    """Return the source that `text` names. Raises ValueError when it names none."""
    if text == PARTS:
        return JoinedParts()
    if match := _WHEEL.fullmatch(text):
        return WheelMember(**match.groupdict())
    if match := _HUB.fullmatch(text):
        return HubFile(**match.groupdict())
    if match := _LOCAL.fullmatch(text):
        return LocalFile(Path(match["path"]))
    raise ValueError(
        f"{text!r} is not a source: pypi:NAME==VERSION#member, hf:OWNER/REPO@REVISION#path, file:/path or {PARTS}"
    )


class Table(BaseModel):
    """A table of the lock file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Pin(Table):
    """Bytes known by digest and size, and where they come from, best source first."""

    sha256: Sha256
    size: SizeBytes
    sources: tuple[Line, ...] = Field(min_length=1)

    @field_validator("sources")
    @classmethod
    def _sources_are_known(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            parse_source(source)
        return sources


class LockedPart(Pin):
    """One piece of a file that no single artifact holds whole."""

    @field_validator("sources")
    @classmethod
    def _parts_do_not_nest(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        if PARTS in sources:
            raise ValueError("a part cannot be made of parts")
        return sources


class LockedFile(Pin):
    """One file of a model, at `path` inside the model's folder."""

    path: RelativePath
    parts: tuple[LockedPart, ...] = Field(default=(), alias="part")

    @model_validator(mode="after")
    def _parts_add_up(self) -> "LockedFile":
        if bool(self.parts) != (PARTS in self.sources):
            raise ValueError(f"{self.path}: the source {PARTS!r} and [[model.file.part]] go together")
        total_bytes = sum(part.size for part in self.parts)
        if self.parts and total_bytes != self.size:
            raise ValueError(f"{self.path}: the parts hold {total_bytes} bytes, the file {self.size}")
        return self


class LockedModel(Table):
    """One model: what it does, under which licence, and its files (sorted by path)."""

    name: Annotated[str, StringConstraints(pattern=rf"^{_SEGMENT}$", max_length=96)]
    role: ModelRole
    format: ModelFormat
    revision: Line
    licence: Line
    source: Line
    files: tuple[LockedFile, ...] = Field(min_length=1, alias="file")

    @field_validator("files")
    @classmethod
    def _paths_differ(cls, files: tuple[LockedFile, ...]) -> tuple[LockedFile, ...]:
        paths = {file.path for file in files}
        if len(paths) != len(files):
            raise ValueError("two files have the same path")
        for path in paths:
            if any(str(parent) in paths for parent in Path(path).parents):
                raise ValueError(f"{path} lies below another file")
        return tuple(sorted(files, key=lambda file: file.path))

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)


class Lock(Table):
    """All pins (models sorted by role and name)."""

    version: Literal[1]
    models: tuple[LockedModel, ...] = Field(default=(), alias="model")

    @field_validator("models")
    @classmethod
    def _pins_agree(cls, models: tuple[LockedModel, ...]) -> tuple[LockedModel, ...]:
        twice = [name for name, count in Counter(model.name for model in models).items() if count > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)}: a name stands for one model")
        sizes: dict[str, int] = {}
        for file in (file for model in models for file in model.files):
            if sizes.setdefault(file.sha256, file.size) != file.size:
                raise ValueError(
                    f"{file.path}: sha256 {file.sha256} has two sizes, {sizes[file.sha256]} and {file.size}"
                )
        # Two files that share a part would gather it in the same partial file at the same time.
        by_digest = {file.sha256: file for model in models for file in model.files}
        digests = Counter([*by_digest, *(part.sha256 for file in by_digest.values() for part in file.parts)])
        shared = [digest for digest, count in digests.items() if count > 1]
        if shared:
            raise ValueError(f"part {shared[0]} belongs to more than one file")
        return tuple(sorted(models, key=lambda model: (model.role, model.name)))

    def model(self, name: str) -> LockedModel:
        """Return the model called `name`. Raises UsageError when no model is."""
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise UsageError(f"models.lock has no model {name!r}", hint=f"it has: {known}")


def default_lock_path() -> Path:
    """Return the lock file that came with voicectl: package data of a wheel, or the checkout's."""
    package = Path(voicectl.__file__).parent
    packaged = package / "packaged" / "models.lock"
    return packaged if packaged.is_file() else package.parent / "models.lock"


def read_lock(path: Path | None = None) -> Lock:
    """Return the pins of `path`, by default those that came with voicectl. Raises ConfigError naming file and key."""
    path = path or default_lock_path()
    try:
        return parse_lock(path.read_bytes().decode(), name=str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the lock file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error


def parse_lock(text: str, *, name: str = "models.lock") -> Lock:
    """Return the pins written in `text`; `name` is the file that errors name. Raises ConfigError."""
    try:
        return _validated(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error


def lock_of(models: Sequence[LockedModel | Mapping[str, object]], *, name: str) -> Lock:
    """Return a lock of `models`, all rules checked; `name` is what errors name. Raises ConfigError."""
    return _validated({"version": 1, "model": list(models)}, name)


def _validated(document: Mapping[str, object], name: str) -> Lock:
    try:
        return Lock.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in problem['loc']) or 'file'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise ConfigError(f"{name}: {problems}") from error


def render_lock(lock: Lock) -> str:
    """Return the canonical text of `lock`: reading it and rendering again gives the same bytes."""
    return "\n".join([_HEADER, f"version = {lock.version}", *(line for m in lock.models for line in _model(m)), ""])


def _model(model: LockedModel) -> Iterator[str]:
    yield from ("", "[[model]]")
    for key in ("name", "role", "format", "revision", "licence", "source"):
        yield f"{key} = {_quoted(getattr(model, key))}"
    for file in model.files:
        yield from ("", "[[model.file]]", f"path = {_quoted(file.path)}", *_pin(file))
        for part in file.parts:
            yield from ("", "[[model.file.part]]", *_pin(part))


def _pin(pin: Pin) -> Iterator[str]:
    yield f"sha256 = {_quoted(pin.sha256)}"
    yield f"size = {pin.size}"
    yield "sources = ["
    for source in pin.sources:
        yield f"    {_quoted(source)},"
    yield "]"


def _quoted(text: str) -> str:
    # JSON's escapes are a subset of a TOML basic string's; fields hold printable characters only.
    return json.dumps(text, ensure_ascii=False)
