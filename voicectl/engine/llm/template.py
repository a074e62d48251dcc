"""Render the chat template a model carries: with llama.cpp where it knows the template, else with Jinja."""

import ctypes
import json
from collections.abc import Sequence
from typing import Final

from jinja2 import TemplateError

from voicectl.core.errors import EngineError, RequestRejected
from voicectl.engine.llm.calls import CallSyntax
from voicectl.engine.llm.native import Jinja2ChatFormatter, native
from voicectl.engine.llm.prompt import ChatTemplate, Renderer
from voicectl.engine.llm.script import Line

_THINKING_SWITCH: Final = "enable_thinking"
"""Templates of models that can think aloud read this variable; spoken replies must not wait for thoughts."""
_QUESTION: Final = Line("user", "[[question]]")
_NEXT: Final = Line("user", "[[next]]")


class _Verbatim(dict[str, object]):
    """A JSON object that a template writes as the text it stands for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class _Formatter(Jinja2ChatFormatter):  # type: ignore[misc]  # llama_cpp carries no types
    @staticmethod
    def tojson(value: object, ensure_ascii: bool = False, **options: object) -> str:
        if isinstance(value, _Verbatim):
            return value.text
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)  # type: ignore[arg-type]  # as json.dumps has them


def chat_template(template: str | None, *, start_text: str, end_text: str) -> ChatTemplate:
    """Return how a model's chat template renders. Raises EngineError if it has none or an unreadable one.

    `start_text` and `end_text` are how the vocabulary writes the tokens around a text.
    """
    if template is None:
        raise EngineError("the model carries no chat template", hint="choose an instruction-tuned model")
    is_known = _THINKING_SWITCH not in template and _render_natively(template, [_QUESTION]) is not None
    knows_tools = "tools" in template and "tool_calls" in template
    if is_known and not knows_tools:
        return ChatTemplate(lambda lines, _: _render_natively(template, lines) or "")
    in_jinja = _jinja_renderer(template, start_text, end_text)
    syntax = call_syntax(in_jinja) if knows_tools else None

    def render(lines: Sequence[Line], offers: Sequence[str]) -> str:
        needs_jinja = not is_known or offers or any(line.calls or line.role == "tool" for line in lines)
        return in_jinja(lines, offers) if needs_jinja else _render_natively(template, lines) or ""

    return ChatTemplate(render, syntax)


def call_syntax(render: Renderer) -> CallSyntax | None:
    """Return how a template writes function calls, found by comparing a call with words; None if it does not."""
    offers = ["[[offer]]"]
    try:
        words = render([_QUESTION, Line("assistant", "[[words]]"), _NEXT], offers)
        call = render([_QUESTION, Line("assistant", "", (("[[name]]", "[[arguments]]"),)), _NEXT], offers)
        answered = render([_QUESTION, Line("assistant", "", (("f", "{}"),)), Line("tool", "[[output]]")], offers)
    except RequestRejected:
        return None
    if "[[output]]" not in answered or "[[offer]]" not in call:
        return None
    before, after = _around(words, "[[words]]", "[[words]]")
    call_before, call_after = _around(call, "[[name]]", "[[arguments]]")
    middle = call.partition("[[name]]")[2].partition("[[arguments]]")[0]
    if not (before and call_before.startswith(before) and call_after.endswith(after) and middle):
        return None
    syntax = CallSyntax(call_before[len(before) :], middle, call_after.removesuffix(after))
    # Without a brace in front of the name no reply could be told from a call.
    return syntax if "{" in syntax.opener and syntax.closer else None


def _around(text: str, first: str, last: str) -> tuple[str, str]:
    """Return what stands between the question and `first`, and between `last` and the next question."""
    between = text.partition(_QUESTION.content)[2].partition(_NEXT.content)[0]
    before, found, _ = between.partition(first)
    return (before, between.partition(last)[2]) if found else ("", "")


def _render_natively(template: str, lines: Sequence[Line]) -> str | None:
    """Return the rendered lines; None if llama.cpp does not know the template.

    It adds no system message of its own, unlike the Jinja text of some models.
    """
    chat = (native.llama_chat_message * len(lines))()
    for entry, line in zip(chat, lines, strict=True):
        entry.role = line.role.encode()
        entry.content = line.content.encode()
    encoded = template.encode()
    room = 256 + 2 * sum(len(line.role) + len(line.content) for line in lines)
    while True:
        buffer = ctypes.create_string_buffer(room)
        length = int(native.llama_chat_apply_template(encoded, chat, len(lines), True, buffer, room))
        if length < 0:
            return None
        if length <= room:
            return buffer.raw[:length].decode()
        room = length


def _jinja_renderer(template: str, start_text: str, end_text: str) -> Renderer:
    try:
        formatter = _Formatter(template, eos_token=end_text, bos_token=start_text, add_generation_prompt=True)
    except TemplateError as error:
        raise EngineError(f"the model's chat template cannot be read: {error}") from error

    def render(lines: Sequence[Line], offers: Sequence[str]) -> str:
        tools = [_Verbatim(text) for text in offers] or None
        try:
            return str(
                formatter(messages=[_entry(line) for line in lines], tools=tools, **{_THINKING_SWITCH: False}).prompt
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise RequestRejected(f"the model's chat template refuses these messages: {error}") from error

    return render


def _entry(line: Line) -> dict[str, object]:
    entry: dict[str, object] = {"role": line.role, "content": line.content}
    if line.calls:
        entry["tool_calls"] = [
            {"type": "function", "function": {"name": name, "arguments": _Verbatim(arguments)}}
            for name, arguments in line.calls
        ]
    return entry
