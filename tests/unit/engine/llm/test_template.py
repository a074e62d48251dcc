import pytest

from voicectl.core.errors import EngineError, RequestRejected
from voicectl.engine.llm.prompt import template_markers
from voicectl.engine.llm.template import renderer

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
    render = renderer(CHATML, start_text="", end_text="")
    assert render([("user", "Hé")]) == "<|im_start|>user\nHé<|im_end|>\n<|im_start|>assistant\n"


def test_many_messages_have_their_places() -> None:
    render = renderer(CHATML, start_text="", end_text="")
    markers = template_markers(render, ["system", *(["user", "assistant"] * 40)])
    assert len(markers) == 82
    assert markers[2] == "<|im_end|>\n<|im_start|>assistant\n"


def test_models_that_can_think_aloud_are_told_not_to() -> None:
    render = renderer(THINKING, start_text="", end_text="")
    assert render([("user", "Hi")]).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_an_unknown_template_is_rendered_as_written() -> None:
    render = renderer(HOME_MADE, start_text="<s>", end_text="</s>")
    assert render([("user", "Hi")]) == "<s>@user: Hi</s>@assistant:"


def test_roles_that_a_template_refuses_are_rejected() -> None:
    render = renderer(HOME_MADE, start_text="<s>", end_text="</s>")
    with pytest.raises(RequestRejected, match="no instructions, please"):
        render([("system", "x"), ("user", "Hi")])


@pytest.mark.parametrize("template", [None, "{% for %}"])
def test_a_model_without_a_readable_template_does_not_load(template: str | None) -> None:
    with pytest.raises(EngineError, match="chat template"):
        renderer(template, start_text="", end_text="")
