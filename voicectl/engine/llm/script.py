"""Turn a conversation with function calls into the lines a chat template renders. Knows no tokens.

A template that was made for functions gets calls and outputs as such. Every other one gets them as plain
text, after an instruction in the system message and a few examples, without which small models never call.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from voicectl.core.errors import RequestRejected
from voicectl.core.events import Role
from voicectl.engine.llm.calls import CallSyntax
from voicectl.engine.messages import PromptMessage, WireTool


@dataclass(frozen=True, slots=True)
class Line:
    """One message as a template sees it; `calls` are names and arguments of functions it calls.

    `kind` is its role in the conversation where the template is told another; an instruction is never dropped.
    """

    role: Role
    content: str
    calls: tuple[tuple[str, str], ...] = ()
    kind: Role | None = None
    is_instruction: bool = False

    @property
    def cut_as(self) -> Role:
        """Return the role that decides whether the line may be dropped."""
        return "system" if self.is_instruction else self.kind or self.role

    def with_texts(self, change: Callable[[str], str]) -> "Line":
        """Return the line with its texts changed, in their order; a call without words keeps its empty content."""
        content = change(self.content) if self.content or not self.calls else ""
        calls = tuple((change(name), change(arguments)) for name, arguments in self.calls)
        return Line(self.role, content, calls, self.kind, self.is_instruction)


_INSTRUCTION: Final = """Functions:
{offers}

If the user asks for something that a function does, answer only with {form}. Otherwise answer in words."""
_EXAMPLES: Final = (
    ("user", "Hello!"),
    ("assistant", "Hello, how can I help you?"),
    ("user", "What is the time in Rome?"),
    ("assistant", ("get_time", '{"city": "Rome"}')),
    ("user", "Please turn on the light in the kitchen."),
    ("assistant", ("turn_on_light", '{"room": "kitchen"}')),
    ("user", "Thanks."),
    ("assistant", "You are welcome!"),
)
"""Two calls among small talk: of ten requests SmolLM2-135M then calls for seven to nine, of ten others for two.

Without them it never calls, with outputs and answers among them hardly ever, and with the functions on offer
as examples it copies their arguments (November 2026).
"""


def script(messages: Sequence[PromptMessage]) -> list[Line]:
    """Return the lines for a template that knows functions."""
    return [
        Line(one.role, one.content, tuple((call.name, call.arguments) for call in one.tool_calls)) for one in messages
    ]


def plain_script(messages: Sequence[PromptMessage], tools: Sequence[WireTool], syntax: CallSyntax) -> list[Line]:
    """Return the lines for a template that knows no functions."""
    lines = [_plain_line(message, syntax) for message in messages]
    if not tools:
        return lines
    num_first = 1 if lines[0].role == "system" else 0
    said = [lines[0].content] if num_first else []
    system = Line("system", "\n\n".join([*said, _instruction(tools, syntax)]), is_instruction=True)
    return [system, *_examples(syntax), *lines[num_first:]]


def offer(tool: WireTool) -> str:
    """Return a function as it is offered to a model, in JSON. Raises RequestRejected for damaged parameters."""
    try:
        parameters = json.loads(tool.parameters or "{}")
    except (ValueError, RecursionError) as error:
        raise RequestRejected(f"function {tool.name!r}: its parameters are no JSON: {error}") from error
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def _instruction(tools: Sequence[WireTool], syntax: CallSyntax) -> str:
    offers = "\n".join(json.dumps(json.loads(offer(tool))["function"], ensure_ascii=False) for tool in tools)
    return _INSTRUCTION.format(offers=offers, form=syntax.write("function name", "{}"))


def _examples(syntax: CallSyntax) -> list[Line]:
    lines = []
    for role, said in _EXAMPLES:
        content = said if isinstance(said, str) else syntax.write(*said)
        lines.append(Line("user" if role == "user" else "assistant", content, is_instruction=True))
    return lines


def _plain_line(message: PromptMessage, syntax: CallSyntax) -> Line:
    if message.role == "tool":
        return Line("user", f"The function answered: {message.content}\nTell me in words.", kind="tool")
    calls = "".join(syntax.write(call.name, call.arguments) for call in message.tool_calls)
    return Line(message.role, message.content + calls)
