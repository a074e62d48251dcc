import pytest

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.calls import PLAIN_SYNTAX, CallSyntax, call_grammar
from voicectl.engine.messages import WireTool

CITY = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
TOOLS = (WireTool("get_weather", "The weather.", CITY), WireTool("hang_up", "Ends the call.", ""))


def test_what_was_written_can_be_read_and_calls_have_ids_of_their_own() -> None:
    text = PLAIN_SYNTAX.write("f", '{"a": "}</tool_call>"}')
    one, other = PLAIN_SYNTAX.read(text), PLAIN_SYNTAX.read(text)
    assert one is not None
    assert other is not None
    assert (one.name, one.arguments) == ("f", '{"a": "}</tool_call>"}')
    assert one.call_id != other.call_id


@pytest.mark.parametrize("text", ["", "<tool_call>", PLAIN_SYNTAX.write("f", '{"a": '), PLAIN_SYNTAX.write("f", "")])
def test_an_unfinished_call_is_none(text: str) -> None:
    assert PLAIN_SYNTAX.read(text) is None


def test_the_marker_ends_before_the_first_brace() -> None:
    assert PLAIN_SYNTAX.marker == "<tool_call>"
    assert CallSyntax('\n<tool_call>\n{"name": "', "", "").marker == "<tool_call>"
    assert CallSyntax('{"name": "', "", "").marker == ""


def test_a_grammar_allows_each_function_with_its_own_arguments() -> None:
    root = call_grammar(TOOLS, PLAIN_SYNTAX).text().splitlines()[0]
    assert 'get_weather\\", \\"arguments\\": " call-0 "}</tool_call>"' in root
    assert 'hang_up\\", \\"arguments\\": " call-1 "}</tool_call>"' in root


def test_a_grammar_goes_on_where_the_call_stands() -> None:
    grammar = call_grammar(TOOLS, PLAIN_SYNTAX)
    assert grammar.text('<tool_call>{"name": "h').startswith('root ::= "ang_up\\", ')
    assert grammar.certain() == PLAIN_SYNTAX.opener
    alone = call_grammar(TOOLS[:1], PLAIN_SYNTAX)
    assert alone.text(alone.certain()).startswith('root ::= "" call-0 "}</tool_call>"')


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ((WireTool("no spaces", "", ""),), "no spaces"),
        ((WireTool('a"b', "", ""),), "named"),
        ((TOOLS[0], TOOLS[0]), "two functions"),
        ((WireTool("f", "", "["),), "'f'.*no JSON"),
        ((WireTool("f", "", '{"type": "array"}'),), "'f'.*type object"),
        (tuple(WireTool(f"f{number}", "", "") for number in range(65)), "65 functions"),
    ],
)
def test_functions_that_cannot_be_offered_are_rejected(tools: tuple[WireTool, ...], message: str) -> None:
    with pytest.raises(RequestRejected, match=message):
        call_grammar(tools, PLAIN_SYNTAX)
