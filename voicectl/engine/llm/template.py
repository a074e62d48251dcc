"""Render the chat template a model carries: with llama.cpp where it knows the template, else with Jinja."""

import ctypes
from collections.abc import Sequence
from typing import Final

from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.events import Role
from voicectl.engine.llm.native import native
from voicectl.engine.llm.prompt import Renderer

_THINKING_SWITCH: Final = "enable_thinking"
"""Templates of models that can think aloud read this variable; spoken replies must not wait for thoughts."""


def renderer(template: str | None, *, start_text: str, end_text: str) -> Renderer:
    """Return the renderer of a model's chat template. Raises EngineError if it has none or an unreadable one.

    `start_text` and `end_text` are how the vocabulary writes the tokens around a text.
    """
    if template is None:
        raise EngineError("the model carries no chat template", hint="choose an instruction-tuned model")
    if _THINKING_SWITCH not in template and _render_natively(template, [("user", "?")]) is not None:
        return lambda messages: _render_natively(template, messages) or ""
    return _jinja_renderer(template, start_text, end_text)


def _render_natively(template: str, messages: Sequence[tuple[Role, str]]) -> str | None:
    """Return the rendered messages; None if llama.cpp does not know the template.

    It adds no system message of its own, unlike the Jinja text of some models.
    """
    chat = (native.llama_chat_message * len(messages))()
    for entry, (role, content) in zip(chat, messages, strict=True):
        entry.role = role.encode()
        entry.content = content.encode()
    encoded = template.encode()
    room = 256 + 2 * sum(len(role) + len(content) for role, content in messages)
    while True:
        buffer = ctypes.create_string_buffer(room)
        length = int(native.llama_chat_apply_template(encoded, chat, len(messages), True, buffer, room))
        if length < 0:
            return None
        if length <= room:
            return buffer.raw[:length].decode()
        room = length


def _jinja_renderer(template: str, start_text: str, end_text: str) -> Renderer:
    from jinja2 import TemplateError
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    try:
        formatter = Jinja2ChatFormatter(template, eos_token=end_text, bos_token=start_text, add_generation_prompt=True)
    except TemplateError as error:
        raise EngineError(f"the model's chat template cannot be read: {error}") from error

    def render(messages: Sequence[tuple[Role, str]]) -> str:
        entries = [{"role": role, "content": content} for role, content in messages]
        try:
            return str(formatter(messages=entries, **{_THINKING_SWITCH: False}).prompt)
        except (TemplateError, ValueError) as error:
            raise RequestRejected(f"the model's chat template refuses these roles: {error}") from error

    return render
