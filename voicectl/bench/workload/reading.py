"""Find and read a workload file: built-in by name, any other by path; errors name file and key."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voicectl.bench.workload.schema import WorkloadFile
from voicectl.core.errors import ConfigError
from voicectl.core.refusals import refused_key, refused_why
from voicectl.core.strict_yaml import read_mapping

MAX_FILE_BYTES: Final = 262_144
_BUILTIN: Final = Path(__file__).parent / "builtin"
_SUFFIXES: Final = (".yaml", ".yml")
_HINT: Final = "a workload needs a name and conversations; see docs/workloads.md"


class WorkloadError(ConfigError):
    """A workload cannot be used as it stands."""


def builtin_workloads() -> dict[str, Path]:
    """Return the workloads that came with this voicectl, by name."""
    return {path.stem: path for path in sorted(_BUILTIN.glob("*.yaml"))}


def workload_path(name_or_path: str) -> Path:
    """Return the file of a workload: a built-in one by name, any other by path. Raises WorkloadError."""
    if name_or_path.endswith(_SUFFIXES) or "/" in name_or_path:
        path = Path(name_or_path)
        if not path.is_file():
            raise WorkloadError(f"{path}: no such workload file", hint=f"built in: {', '.join(builtin_workloads())}")
        return path
    known = builtin_workloads()
    if name_or_path not in known:
        close = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "name a built-in workload, or give the path of a .yaml file"
        raise WorkloadError(f"no workload is called {name_or_path!r}; there are {', '.join(known)}", hint=hint)
    return known[name_or_path]


def read_workload(path: Path) -> WorkloadFile:
    """Return what a workload file says. Raises WorkloadError, or ConfigError for what is no YAML."""
    document = read_mapping(path, MAX_FILE_BYTES, what="workload", hint=_HINT)
    try:
        return WorkloadFile.model_validate(document)
    except ValidationError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: ValidationError) -> WorkloadError:
    problems = error.errors(include_url=False, include_context=False)
    lines = [": ".join(filter(None, (str(path), refused_key(problem), refused_why(problem)))) for problem in problems]
    hints = list(dict.fromkeys(hint for problem in problems if (hint := _suggestion(problem)) is not None))
    return WorkloadError("\n       ".join(lines), hint="; ".join(hints) or _HINT)


def _suggestion(problem: ErrorDetails) -> str | None:
    if problem["type"] != "extra_forbidden":
        return None
    *above, wrong = problem["loc"]
    known = list(_model_at(WorkloadFile, above).model_fields)
    close = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _model_at(model: type[BaseModel], steps: list[Any]) -> type[BaseModel]:
    """Return the part of a workload that holds the key at that place."""
    for step in steps:
        if isinstance(step, str) and step in model.model_fields:
            model = next(_models_of(model.model_fields[step].annotation), model)
    return model


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_of(argument)
