"""Renders the reference of all profile keys (`docs/configuration.md`) from the schema itself."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from voicectl.core.config import section_of
from voicectl.core.profile import Profile

_OPENING = """\
# Configuration

A profile is one YAML file that says what runs on a host and how. `voicectl profile list` shows the
packaged ones, `voicectl profile show NAME` prints one with every default filled in, and
`voicectl profile validate FILE` checks your own.

What decides, strongest first:

1. a flag: `--set endpointing.turn_taking_ms=400`, or a command's own, such as `--port`;
2. the environment: `VOICECTL_PROFILE` names the profile; `VOICECTL_ENDPOINTING__TURN_TAKING_MS=400`
   sets a key, two underscores between its parts;
3. the profile's file;
4. the default below.

A list entry is named by its number: `workers.0.device`. Values are written as in YAML. Unknown keys,
keys given twice and YAML aliases are errors (exit 3), which name the file or flag and the key.

This page is generated: `python -m voicectl.core.config_reference > docs/configuration.md`.
"""


def render_reference() -> str:
    """Return the whole page."""
    parts = [_OPENING, _table("The profile itself", Profile, "")]
    parts += [_table(_title(field), section, path) for path, field, section in _sections(Profile, "")]
    return "\n".join(parts)


def _sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            path = f"{prefix}{name}." if field.annotation is section else f"{prefix}{name}.N."
            yield path, field, section
            yield from _sections(section, path)


def _table(title: str, model: type[BaseModel], prefix: str) -> str:
    rows = [
        f"| `{prefix}{name}` | {field.description} | {_default(field)} | {_example(field)} |"
        for name, field in model.model_fields.items()
        if section_of(field.annotation) is None
    ]
    return "\n".join([f"## {title}", "", "| key | meaning | default | example |", "|---|---|---|---|", *rows, ""])


def _title(field: FieldInfo) -> str:
    return (field.description or "").rstrip(".")


def _default(field: FieldInfo) -> str:
    return "required" if field.default is PydanticUndefined else f"`{_yaml(field.default)}`"


def _example(field: FieldInfo) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    shown = " or ".join(f"`{choice}`" for choice in choices)
    return shown or " or ".join(f"`{_yaml(example)}`" for example in field.examples or ())


def _yaml(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|")


if __name__ == "__main__":
    import sys

    sys.stdout.write(render_reference())
