import pytest

from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.events import Role
from voicectl.engine.llm.calls import CallSyntax
from voicectl.engine.llm.prompt import lay_out
from voicectl.engine.llm.script import Line
from voicectl.engine.llm.template import chat_template

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe somebody.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
)
HOME_MADE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('no instructions, please') }}{% endif %}"
    "@{{ message.role }}: {{ message.content }}{{ eos_token }}{% endfor %}@assistant:"
)


def test_a_known_template_adds_no_system_message_of_its_own() -> None:
    render = chat_template(CHATML, start_text="", end_text="").render
    assert render([Line("user", "Hé")], []) == "<|im_start|>user\nHé<|im_end|>\n<|im_start|>assistant\n"


def test_many_messages_have_their_places() -> None:
    render = chat_template(CHATML, start_text="", end_text="").render
    roles: list[Role] = ["system", *(["user", "assistant"] * 40)]
    markers = lay_out(render, [Line(role, "x") for role in roles], []).markers
    assert len(markers) == 82
    assert markers[2] == "<|im_end|>\n<|im_start|>assistant\n"


def test_models_that_can_think_aloud_are_told_not_to() -> None:
    render = chat_template(THINKING, start_text="", end_text="").render
    assert render([Line("user", "Hi")], []).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_an_unknown_template_is_rendered_as_written() -> None:
    render = chat_template(HOME_MADE, start_text="<s>", end_text="</s>").render
    assert render([Line("user", "Hi")], []) == "<s>@user: Hi</s>@assistant:"


def test_roles_that_a_template_refuses_are_rejected() -> None:
    render = chat_template(HOME_MADE, start_text="<s>", end_text="</s>").render
    with pytest.raises(RequestRejected, match="no instructions, please"):
        render([Line("system", "x"), Line("user", "Hi")], [])


@pytest.mark.parametrize("template", [None, "{% for %}"])
def test_a_model_without_a_readable_template_does_not_load(template: str | None) -> None:
    with pytest.raises(EngineError, match="chat template"):
        chat_template(template, start_text="", end_text="")


TOOL_AWARE = (
    "{%- if tools %}<s>offers{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}</s>\n{% endif %}"
    "{%- for message in messages %}<s>{{ message.role }}\n{{ message.content }}"
    "{%- for call in message.tool_calls or [] %}<call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</call>{% endfor %}'
    "</s>\n{% endfor %}<s>assistant\n"
)
CALLING = [
    Line("user", "<s>"),
    Line("assistant", "", (("f<s>", '{"a": "<s>"}'),)),
    Line("tool", "sunny"),
    Line("assistant", "Sunny."),
    Line("user", "Thanks"),
]


def test_how_a_model_calls_functions_is_read_from_its_template() -> None:
    template = chat_template(TOOL_AWARE, start_text="", end_text="")
    assert template.calls == CallSyntax('<call>\n{"name": "', '", "arguments": ', "}\n</call>")
    assert template.calls.marker == "<call>"


def test_offers_calls_and_outputs_have_their_places() -> None:
    template = chat_template(TOOL_AWARE, start_text="", end_text="")
    layout = lay_out(template.render, CALLING, ["offer<s>"])
    assert [one.text for one in layout.texts] == [
        "offer<s>", "<s>", "f<s>", '{"a": "<s>"}', "sunny", "Sunny.", "Thanks"
    ]  # fmt: skip
    assert sum(marker.count("<s>") for marker in layout.markers) == 7
    assert layout.markers[3] == '", "arguments": '


@pytest.mark.parametrize("template", [CHATML, THINKING, HOME_MADE, TOOL_AWARE.replace("| tojson", "| length")])
def test_templates_without_functions_are_told_from_those_with(template: str) -> None:
    assert chat_template(template, start_text="", end_text="").calls is None


def test_what_a_template_does_with_wrong_types_is_a_rejection() -> None:
    render = chat_template("{{ messages[0].content + 1 }} tools tool_calls", start_text="", end_text="").render
    with pytest.raises(RequestRejected, match="refuses these messages"):
        render([Line("user", "Hi")], [])
