"""What a bundle says about itself: the schema of `manifest.json`, its one canonical text, the release's identity."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from voicectl.core.errors import IntegrityError

SCHEMA: Final = 1
MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "manifest.json.sig"
MAX_MANIFEST_BYTES: Final = 16 << 20
MAX_SIGNATURE_BYTES: Final = 64 << 10
DIGEST_CHARACTERS: Final = 12
"""How much of the manifest's digest a release id shows."""

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.+~@-]*"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_LONGEST_PATH = 255
_RESERVED = frozenset({MANIFEST_NAME, SIGNATURE_NAME})

Mode = Literal["0644", "0755"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z._]{0,63}$")]
"""A part of the names of systemd units, which take no `+`."""
Count = Annotated[int, Field(strict=True, ge=0)]


class Table(BaseModel):
    """A table of the manifest: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)


class BundledFile(Table):
    """One file of the bundle: where it lies, how long it is, what it holds, and its permissions."""

    path: str
    size: Annotated[int, Field(strict=True, ge=1)]
    sha256: Sha256
    mode: Mode = "0644"

    @field_validator("path")
    @classmethod
    def _path_stays_inside(cls, path: str) -> str:
        if not _PATH.fullmatch(path) or len(path) > _LONGEST_PATH:
            raise ValueError(f"{path!r} is no plain relative path")
        if path in _RESERVED:
            raise ValueError(f"{path} is not a file of the list")
        return path


class GpuNeeds(Table):
    """What a bundle of GPU profiles needs: the least driver and GPU memory, and the CUDA version of its wheels."""

    driver: Word
    cuda: Word
    memory_gb: Annotated[float, Field(gt=0)]


class Compatible(Table):
    """The hosts a bundle is made for."""

    os: Word
    os_version: Word
    arch: Word
    python: Word
    cpu_flags: tuple[Word, ...] = ()
    gpu: GpuNeeds | None = None


class Manifest(Table):
    """Everything a bundle says about itself; files are sorted by path."""

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")
    version: Version
    serial: Count
    min_from_version: Version | None = None
    profiles: tuple[Word, ...] = Field(min_length=1)
    compatible: Compatible
    files: tuple[BundledFile, ...] = Field(min_length=1)

    @field_validator("files")
    @classmethod
    def _files_are_a_tree(cls, files: tuple[BundledFile, ...]) -> tuple[BundledFile, ...]:
        paths = [file.path for file in files]
        if paths != sorted(set(paths)):
            raise ValueError("the paths must be sorted, each once")
        known = set(paths)
        for path in paths:
            if any(str(parent) in known for parent in PurePosixPath(path).parents):
                raise ValueError(f"{path} lies below another file")
        return files

    @property
    def digest(self) -> str:
        """Return the sha256 of the canonical text, which is what a signature signs."""
        return hashlib.sha256(render_manifest(self)).hexdigest()

    @property
    def release_id(self) -> str:
        """Return what the release is called on a host."""
        return f"{self.version}-{self.digest[:DIGEST_CHARACTERS]}"

    @property
    def content_bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    def file(self, path: str) -> BundledFile | None:
        """Return the file at `path`, None when there is none."""
        return next((file for file in self.files if file.path == path), None)


def render_manifest(manifest: Manifest) -> bytes:
    """Return the one text of `manifest`."""
    document = manifest.model_dump(mode="json", by_alias=True)
    return (json.dumps(document, ensure_ascii=True, sort_keys=True, indent=1) + "\n").encode()


def parse_manifest(content: bytes, *, name: str) -> Manifest:
    """Return the manifest written in `content`; `name` is the bundle that errors name.

    Raises IntegrityError when the text is not the canonical one of a valid manifest.
    """
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name}: {MANIFEST_NAME} is not JSON: {error}", hint=_HINT) from error
    if isinstance(document, dict) and isinstance(schema := document.get("schema"), int) and schema > SCHEMA:
        raise IntegrityError(
            f"{name}: {MANIFEST_NAME} has schema {schema}, this voicectl reads {SCHEMA}",
            hint="use the voicectl that came with the bundle's release",
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise IntegrityError(f"{name}: {MANIFEST_NAME}: {problems_in(error)}", hint=_HINT) from error
    if render_manifest(manifest) != content:
        raise IntegrityError(f"{name}: {MANIFEST_NAME} is not in its canonical form", hint=_HINT)
    return manifest


def sorted_files(files: Sequence[BundledFile]) -> tuple[BundledFile, ...]:
    """Return `files` in the order of the archive."""
    return tuple(sorted(files, key=lambda file: file.path))


_HINT: Final = "the bundle is damaged or was not made by `voicectl bundle build`; copy it again from its source"
_SHOWN_PROBLEMS: Final = 3


def problems_in(error: ValidationError) -> str:
    """Return what is wrong with a manifest, in words."""
    problems = error.errors(include_url=False, include_context=False)
    told = [f"{'.'.join(map(str, problem['loc'])) or 'manifest'}: {problem['msg']}" for problem in problems]
    rest = len(told) - _SHOWN_PROBLEMS
    return "; ".join(told[:_SHOWN_PROBLEMS]) + (f"; and {rest} more" if rest > 0 else "")
