"""Functions as clients describe them: what is accepted, what it means for the call, how it is shown again."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from voicectl.core.events import Tool, ToolChoice
from voicectl.media.transports.realtime.errors import (
    INVALID_TYPE,
    INVALID_VALUE,
    MESSAGE_TOO_LARGE,
    MISSING_PARAMETER,
    UNSUPPORTED,
    ClientEventError,
)

MAX_TOOLS: Final = 128
MAX_SCHEMA_BYTES: Final = 65_536
"""Largest JSON schema of one function's parameters."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_PARAMETERS: Final = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether functions may or must be called; `forced_tool` names the one that must, "" is any."""

    tool_choice: ToolChoice = "auto"
    forced_tool: str = ""

    def as_ga(self) -> str | dict[str, str]:
        """Return the wire's form."""
        return {"type": "function", "name": self.forced_tool} if self.forced_tool else self.tool_choice


ANY_CHOICE: Final = Choice()


def parse_tools(tools: list[Any], root: str) -> tuple[Tool, ...]:
    """Return the functions that a client offers. `root` is where errors say they stand. Raises ClientEventError."""
    if len(tools) > MAX_TOOLS:
        raise ClientEventError(INVALID_VALUE, f"{len(tools)} tools are more than {MAX_TOOLS}", param=root)
    parsed = tuple(_tool(tool, f"{root}.{index}") for index, tool in enumerate(tools))
    names: set[str] = set()
    for index, tool in enumerate(parsed):
        if tool.name in names:
            raise ClientEventError(
                INVALID_VALUE, f"two tools have the name {tool.name!r}", param=f"{root}.{index}.name"
            )
        names.add(tool.name)
    return parsed


def _tool(wanted: Any, param: str) -> Tool:
    if not isinstance(wanted, dict):
        raise ClientEventError(INVALID_TYPE, f"a tool is an object, not {wanted!r:.80}", param=param)
    kind = wanted.get("type")
    if kind is None:
        raise ClientEventError(MISSING_PARAMETER, f"{param}.type is required", param=f"{param}.type")
    if kind != "function":
        raise ClientEventError(
            UNSUPPORTED, f"tools are of type 'function'; {kind!r:.80} is not supported", param=f"{param}.type"
        )
    return Tool(_name(wanted, param), _description(wanted, param), _parameters(wanted, param))


def _name(wanted: dict[str, Any], param: str) -> str:
    name = wanted.get("name")
    if name is None:
        raise ClientEventError(MISSING_PARAMETER, f"{param}.name is required", param=f"{param}.name")
    if not isinstance(name, str):
        raise ClientEventError(INVALID_TYPE, f"a name is text, not {name!r:.80}", param=f"{param}.name")
    if not _NAME.fullmatch(name):
        raise ClientEventError(
            INVALID_VALUE,
            f"a name is 1 to 64 letters, digits, '_' and '-', not {name!r:.80}",
            param=f"{param}.name",
        )
    return name


def _description(wanted: dict[str, Any], param: str) -> str:
    description = wanted.get("description")
    if description is None:
        return ""
    if not isinstance(description, str):
        message = f"a description is text, not {description!r:.80}"
        raise ClientEventError(INVALID_TYPE, message, param=f"{param}.description")
    return description


def _parameters(wanted: dict[str, Any], param: str) -> str:
    parameters = wanted.get("parameters")
    if parameters is None:
        parameters = _NO_PARAMETERS
    if not isinstance(parameters, dict):
        message = f"parameters are a JSON schema, an object, not {parameters!r:.80}"
        raise ClientEventError(INVALID_TYPE, message, param=f"{param}.parameters")
    if parameters.get("type", "object") != "object":
        message = f"the arguments of a function are an object, not {parameters['type']!r:.80}"
        raise ClientEventError(INVALID_VALUE, message, param=f"{param}.parameters.type")
    schema = json.dumps(parameters, ensure_ascii=False, separators=(",", ":"))
    size = len(schema.encode(errors="replace"))
    if size > MAX_SCHEMA_BYTES:
        message = f"parameters of {size} bytes exceed {MAX_SCHEMA_BYTES}"
        raise ClientEventError(MESSAGE_TOO_LARGE, message, param=f"{param}.parameters")
    return schema


def parse_choice(wanted: Any, root: str) -> Choice:
    """Return which function a client wants called. Raises ClientEventError."""
    choices: dict[str, Literal["auto", "none", "required"]] = {
        "auto": "auto",
        "none": "none",
        "required": "required",
    }
    if isinstance(wanted, str):
        if wanted not in choices:
            message = f"tool_choice is one of {', '.join(choices)} or a function, not {wanted!r:.80}"
            raise ClientEventError(INVALID_VALUE, message, param=root)
        return Choice(choices[wanted])
    if not isinstance(wanted, dict):
        raise ClientEventError(INVALID_TYPE, f"tool_choice is text or an object, not {wanted!r:.80}", param=root)
    if wanted.get("type") != "function":
        message = f"tool_choice is of type 'function'; {wanted.get('type')!r:.80} is not supported"
        raise ClientEventError(UNSUPPORTED, message, param=f"{root}.type")
    return Choice("required", _name(wanted, root))


def wire_tool(tool: Tool) -> dict[str, Any]:
    """Return a function as the wire shows it."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": json.loads(tool.parameters),
    }
