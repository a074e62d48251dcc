"""Find and read a profile: strict YAML, this host's settings, the environment, flags; errors name the key."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

import voicectl
from voicectl.core.errors import ConfigError
from voicectl.core.paths import config_path
from voicectl.core.profile import Profile
from voicectl.core.refusals import refused_key, refused_why
from voicectl.core.strict_yaml import read_mapping, yaml_problem

DEFAULT_PROFILE: Final = "cpu"
PROFILE_VARIABLE: Final = "VOICECTL_PROFILE"
HOST_FILE: Final = "host.yaml"
"""What this host sets differently from its profile, in the folder of its configuration."""
MAX_PROFILE_BYTES: Final = 65_536
_PREFIX: Final = "VOICECTL_"
_SEPARATOR: Final = "__"
_SUFFIXES: Final = (".yaml", ".yml")
_START_HINT: Final = "start from `voicectl profile show cpu`"


@dataclass(frozen=True, slots=True)
class Override:
    """One key set from outside the profile's file; `origin` is what an error names."""

    key: str
    text: str
    origin: str


def load_profile(
    name_or_path: str | None = None,
    *,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    host_file: Path | None = None,
) -> Profile:
    """Return the profile of that name or file, changed by the host's file, the environment and `key=value` overrides.

    Without a name, VOICECTL_PROFILE decides, then the default. `host_file` is the one of this host's
    configuration, unless the environment is given: then there is none but the given one. Raises ConfigError.
    """
    variables = os.environ if environment is None else environment
    chosen = name_or_path or variables.get(PROFILE_VARIABLE) or DEFAULT_PROFILE
    path = profile_path(chosen)
    document = read_mapping(path, MAX_PROFILE_BYTES, what="profile", hint=_START_HINT)
    origins: dict[str, str] = {}
    if host_file is None and environment is None:
        host_file = config_path() / HOST_FILE
    if host_file is not None and host_file.is_file():
        changes = read_mapping(host_file, MAX_PROFILE_BYTES, what="profile", hint=_START_HINT)
        _merge(document, changes, origins, host_file)
    for override in [*_environment_overrides(variables), *map(_flag_override, overrides)]:
        _apply(document, override)
        origins[override.key] = override.origin
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        raise _refusal(path, error, origins) from error


def profile_path(name_or_path: str) -> Path:
    """Return the file of a profile: a packaged one by name, any other by path. Raises ConfigError."""
    if name_or_path.endswith(_SUFFIXES) or "/" in name_or_path:
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(f"{path}: no such profile file", hint="packaged profiles: `voicectl profile list`")
        return path
    packaged = packaged_profiles()
    if name_or_path not in packaged:
        known = ", ".join(packaged)
        close = difflib.get_close_matches(name_or_path, packaged, n=1)
        hint = f"did you mean {close[0]}?" if close else "name a packaged profile, or give the path of a .yaml file"
        raise ConfigError(f"no profile is called {name_or_path!r}; there are {known}", hint=hint)
    return packaged[name_or_path]


def packaged_profiles() -> dict[str, Path]:
    """Return the profiles that came with this voicectl, by name."""
    package = Path(voicectl.__file__).parent
    installed = package / "packaged" / "profiles"
    # A checkout, and an installation in editable mode, have the folder beside the package.
    folder = installed if installed.is_dir() else package.parent / "profiles"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def profile_keys(model: type[BaseModel] = Profile, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key of a profile; items of a list are written `workers.0`."""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            yield prefix + name
        else:
            item = ".0" if field.annotation is not section else ""
            yield from profile_keys(section, f"{prefix}{name}{item}.")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a key holds, directly or as the items of a list; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    sections = (section_of(argument) for argument in get_args(annotation))
    return next((section for section in sections if section is not None), None)


# --- overrides ------------------------------------------------------------------------------


def _flag_override(text: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set {text!r} has no value",
            hint="write it as key=value, for example --set endpointing.turn_taking_ms=400",
        )
    return Override(key=key.strip(), text=value, origin=f"--set {key.strip()}")


def _environment_overrides(variables: Mapping[str, str]) -> Iterator[Override]:
    for name, value in sorted(variables.items()):
        rest = name.removeprefix(_PREFIX)
        if rest != name and _SEPARATOR in rest:
            yield Override(key=rest.lower().replace(_SEPARATOR, "."), text=value, origin=f"environment variable {name}")


def _merge(
    document: dict[str, Any], changes: dict[str, Any], origins: dict[str, str], path: Path, at: str = ""
) -> None:
    """Put `changes` over `document`, section by section; a list replaces a list."""
    for key, value in changes.items():
        name = f"{at}{key}"
        place = document.get(key)
        if isinstance(value, dict) and isinstance(place, dict | None):
            document[key] = {} if place is None else place
            _merge(document[key], value, origins, path, f"{name}.")
        else:
            document[key] = value
            origins[name] = f"{path}: {name}"


def _apply(document: dict[str, Any], override: Override) -> None:
    *folders, leaf = override.key.split(".")
    place: Any = document
    for step in folders:
        place = place[_index(place, step, override)] if isinstance(place, list) else place.setdefault(step, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"{override.origin}: {step} is a value, not a section")
    try:
        value = yaml.safe_load(override.text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override.origin}: {override.text!r} is no YAML value: {yaml_problem(error)}") from error
    if isinstance(place, list):
        place[_index(place, leaf, override)] = value
    else:
        place[leaf] = value


def _index(items: list[Any], step: str, override: Override) -> int:
    if not step.isdecimal() or int(step) >= len(items):
        raise ConfigError(f"{override.origin}: {step!r} is none of the {len(items)} entries, counted from 0")
    return int(step)


# --- errors ---------------------------------------------------------------------------------


def _refusal(path: Path, error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    problems = [(refused_key(problem), problem) for problem in error.errors(include_url=False, include_context=False)]
    # A refused item makes its list look too short: say the first, not both.
    told = [
        (key, problem)
        for key, problem in problems
        if not (problem["type"] == "too_short" and any(other.startswith(f"{key}.") for other, _ in problems))
    ]
    lines = [_line(path, key, problem, origins) for key, problem in told]
    hints = [hint for key, problem in told if (hint := _suggestion(key, problem)) is not None]
    hint = "; ".join(hints) or "every key with its meaning: docs/configuration.md"
    return ConfigError("\n       ".join(lines), hint=hint)


def _line(path: Path, key: str, problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    if key in origins:
        where = origins[key]
    else:
        # A rule over several keys is blamed on the override that broke it.
        above = [origin for name, origin in origins.items() if key and name.startswith(f"{key}.")]
        where = ": ".join([", ".join(above) or str(path), *([key] if key else [])])
    return f"{where}: {refused_why(problem)}"


def _suggestion(key: str, problem: ErrorDetails) -> str | None:
    if problem["type"] != "extra_forbidden":
        return None
    known = list(profile_keys())
    pattern = ".".join("0" if step.isdecimal() else step for step in key.split("."))
    leaf = pattern.rpartition(".")[2]
    # The whole name first (a slip of the pen), then the last part alone (the wrong section).
    close = difflib.get_close_matches(pattern, known, n=1, cutoff=0.8)
    close = close or [name for name in known if name.rpartition(".")[2] == leaf]
    close = close or difflib.get_close_matches(pattern, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else None
