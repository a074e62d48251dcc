import json

import pytest

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.calls import PLAIN_SYNTAX
from voicectl.engine.llm.script import Line, offer, plain_script, script
from voicectl.engine.messages import PromptMessage, WireTool, WireToolCall

TOOL = WireTool("get_weather", "The weather.", '{"type": "object"}')
CALL = WireToolCall("call_1", "get_weather", '{"city": "Rome"}')
TURNS = [
    PromptMessage("system", "Be brief."),
    PromptMessage("user", "How is the weather?"),
    PromptMessage("assistant", "", (CALL,)),
    PromptMessage("tool", "sunny", call_id="call_1"),
]


def test_a_template_that_knows_functions_gets_them_as_they_are() -> None:
    lines = script(TURNS)
    assert lines[2] == Line("assistant", "", (("get_weather", '{"city": "Rome"}'),))
    assert lines[3] == Line("tool", "sunny")


def test_other_templates_get_words() -> None:
    lines = plain_script(TURNS, [TOOL], PLAIN_SYNTAX)
    assert lines[0].content.startswith("Be brief.\n\n")
    assert '"name": "get_weather"' in lines[0].content
    assert lines[-2] == Line("assistant", PLAIN_SYNTAX.write("get_weather", '{"city": "Rome"}'))
    assert (lines[-1].role, lines[-1].cut_as) == ("user", "tool")
    assert "sunny" in lines[-1].content
    assert {line.role for line in lines} == {"system", "user", "assistant"}


def test_instruction_and_examples_are_never_dropped() -> None:
    lines = plain_script(TURNS, [TOOL], PLAIN_SYNTAX)
    assert [line.cut_as for line in lines[:-3]] == ["system"] * (len(lines) - 3)


def test_the_beginning_is_the_same_every_turn() -> None:
    short, long = (plain_script(TURNS[:count], [TOOL], PLAIN_SYNTAX) for count in (2, 4))
    assert long[: len(short)] == short


def test_without_functions_only_what_was_said_is_left() -> None:
    assert plain_script(TURNS[:2], [], PLAIN_SYNTAX) == script(TURNS[:2])


def test_functions_need_no_instructions_of_the_caller() -> None:
    lines = plain_script(TURNS[1:2], [TOOL], PLAIN_SYNTAX)
    assert lines[0].role == "system"
    assert lines[-1] == Line("user", "How is the weather?")


def test_an_offer_is_json() -> None:
    function = {"name": "get_weather", "description": "The weather.", "parameters": {"type": "object"}}
    assert json.loads(offer(TOOL)) == {"type": "function", "function": function}
    with pytest.raises(RequestRejected, match="get_weather"):
        offer(WireTool("get_weather", "", "{"))


def test_the_texts_of_a_line_change_in_their_order() -> None:
    line = Line("assistant", "words", (("f", "{}"), ("g", "[]")))
    seen: list[str] = []
    changed = line.with_texts(lambda text: seen.append(text) or f"<{text}>")
    assert seen == ["words", "f", "{}", "g", "[]"]
    assert changed == Line("assistant", "<words>", (("<f>", "<{}>"), ("<g>", "<[]>")))
    assert Line("assistant", "", (("f", "{}"),)).with_texts(lambda _: "x").content == ""
