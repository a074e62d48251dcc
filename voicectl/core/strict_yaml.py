"""Read a file of plain YAML: bounded, no key given twice, no aliases that multiply. Knows no schema."""

from pathlib import Path
from typing import Any

import yaml

from voicectl.core.errors import ConfigError


class StrictLoader(yaml.SafeLoader):
    """YAML without what hides a mistake or an attack: keys given twice, and aliases that multiply."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # types-PyYAML leaves it bare
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key_node.start_mark)
            key = key_node.value
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_mapping(path: Path, max_bytes: int, *, what: str, hint: str) -> dict[str, Any]:
    """Return the keys of a YAML file. Raises ConfigError; `what` and `hint` are its words for an unlikely file."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ConfigError(f"{path}: {size} bytes is no {what}; the limit is {max_bytes}")
        text = path.read_text(encoding="utf-8")
        document = yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a subclass of the safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {yaml_problem(error)}", hint="the file must be plain YAML") from error
    except ValueError as error:
        # Dates that no calendar has.
        raise ConfigError(
            f"{path}: holds a value that cannot be: {error}", hint="the file must be plain YAML"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply", hint="the file must be plain YAML") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds no keys", hint=hint)
    return document


def yaml_problem(error: yaml.YAMLError) -> str:
    """Return what is wrong with a YAML text, and on which line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)
