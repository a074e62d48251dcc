import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.engine.llm.calls import PLAIN_SYNTAX, CallSyntax
from voicectl.engine.llm.reply import Reply, partial_marker

BARE_SYNTAX = CallSyntax('{"name": "', '", "parameters": ', "}")
CALL = PLAIN_SYNTAX.write("get_time", '{"city": "Rome </tool_call>"}')


def tokens(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def fed(reply: Reply, *pieces: str) -> list[str]:
    return [reply.feed(piece.encode()) for piece in pieces]


def test_a_character_split_between_tokens_waits_for_its_rest() -> None:
    reply = Reply()
    pieces = [reply.feed(bytes([byte])) for byte in "é😀a".encode()]
    assert pieces == ["", "é", "", "", "", "😀", "a"]


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    reply = Reply()
    assert reply.feed(b"a\xff") + reply.feed(b"b") == "a\ufffdb"


def test_what_may_begin_a_call_is_held_back_until_it_is_clear() -> None:
    reply = Reply(PLAIN_SYNTAX)
    assert fed(reply, "I <", "tool", "box>", " a<too") == ["I ", "", "<toolbox>", " a"]
    assert reply.rest() == "<too"
    assert reply.rest() == ""
    assert reply.call_so_far is None


def test_words_before_a_call_are_said_and_the_call_is_not() -> None:
    reply = Reply(PLAIN_SYNTAX)
    said = fed(reply, *tokens("One moment. " + PLAIN_SYNTAX.write("f", "{}")))
    assert "".join(said) == "One moment. "
    assert reply.call is not None
    assert (reply.call.name, reply.call.arguments) == ("f", "{}")
    assert reply.call.call_id.startswith("call_")
    assert reply.rest() == ""


def test_noise_in_the_token_of_the_marker_is_left_out() -> None:
    for noise, kept in (('{"na', '{"na'), ("?!", "")):
        reply = Reply(PLAIN_SYNTAX)
        fed(reply, f"<tool_call>{noise}")
        assert reply.call_so_far == "<tool_call>" + kept


@pytest.mark.parametrize("lead", ["", " \n"])
def test_a_call_without_a_marker_counts_only_at_the_beginning(lead: str) -> None:
    reply = Reply(BARE_SYNTAX)
    assert not any(fed(reply, lead, *tokens(BARE_SYNTAX.write("f", '{"a": {}}'))))
    assert reply.call is not None
    assert json.loads(reply.call.arguments) == {"a": {}}
    words = Reply(BARE_SYNTAX)
    assert fed(words, lead + "Set ", '{"a": 1}') == [lead + "Set ", '{"a": 1}']


def test_a_reply_that_must_be_a_call_begins_inside_it() -> None:
    reply = Reply(PLAIN_SYNTAX, call_start='<tool_call>{"name": "f", "arguments": ')
    assert fed(reply, '{"a": "}</tool_call>', '"}', "}</tool_call>") == ["", "", ""]
    assert reply.call is not None
    assert json.loads(reply.call.arguments) == {"a": "}</tool_call>"}


@settings(deadline=None, max_examples=80)
@given(st.text(alphabet="ab <tol_c", max_size=30), st.lists(st.integers(1, 4), min_size=1), st.booleans())
def test_however_a_reply_is_cut_into_tokens_its_words_and_its_call_are_the_same(
    words: str, sizes: list[int], calls: bool
) -> None:
    rest = (words + CALL if calls else words).encode()
    reply = Reply(PLAIN_SYNTAX)
    said = ""
    for size in itertools.cycle(sizes):
        said += reply.feed(rest[:size])
        rest = rest[size:]
        if not rest:
            break
    said += reply.rest()
    # White space right before a call may have been passed on before the call was seen.
    assert said == words if not calls else said.rstrip() == words.rstrip()
    assert (reply.call is not None) == calls
    if reply.call is not None:
        assert reply.call.arguments == '{"city": "Rome </tool_call>"}'


def test_the_end_of_a_text_that_may_begin_a_marker() -> None:
    assert [partial_marker(text, "<tool>") for text in ("", "a", "a<", "<too", "<tool>", "<t<t")] == [0, 0, 1, 4, 0, 2]
