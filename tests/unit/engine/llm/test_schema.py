import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.schema import GrammarRules, literal


def rules_of(schema: object) -> str:
    rules = GrammarRules()
    name = rules.add_reply(json.dumps(schema), "reply")
    return f"root ::= {name}\n{rules.text()}"


def test_an_object_has_its_properties_in_order() -> None:
    text = rules_of({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a", "b"]})
    assert 'reply ::= "{" space reply-a-kv "," space reply-b-kv "}" space' in text
    assert "reply-b-kv ::= " in text
    assert "value ::= object | array | string | number | boolean | null" in text


def test_strings_hold_no_bare_control_characters() -> None:
    assert r'char ::= [^"\\\x00-\x1F\x7F] |' in rules_of({"type": "string"})


def test_references_are_put_in_place() -> None:
    schema = {"$defs": {"a/b": {"enum": ["x"]}}, "type": "array", "items": {"$ref": "#/$defs/a~1b"}}
    assert '"\\"x\\""' in rules_of(schema)


def test_several_types_are_alternatives_with_all_their_limits() -> None:
    text = rules_of({"type": ["array", "null"], "items": {"type": "boolean"}, "maxItems": 1})
    assert "boolean" in text
    assert "null" in text


def test_two_schemas_keep_their_rules_apart() -> None:
    rules = GrammarRules()
    names = [
        rules.add_arguments(json.dumps({"properties": {"a": {"type": kind}}}), f"call-{kind}")
        for kind in ("string", "integer")
    ]
    assert names == ["call-string", "call-integer"]
    assert "call-string-a-kv ::= " in rules.text()
    assert "call-integer-a-kv ::= " in rules.text()


def test_arguments_keep_what_a_grammar_can_and_a_reply_keeps_all_or_nothing() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a$", "maxLength": 9000}}}
    GrammarRules().add_arguments(json.dumps(schema), "call-0")
    with pytest.raises(RequestRejected, match="pattern cannot be enforced"):
        rules_of(schema)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"a":' * 100_000, "bytes long"),
        ('{"type": "colour"}', "colour"),
        ('{"type": []}', "type must be a list of 1"),
        ('{"$ref": "#"}', "refers to itself"),
        ('{"$ref": "#/$defs/a"}', "points nowhere"),
        ('{"$ref": "https://example.com/a"}', "must point into the schema"),
        ('{"$ref": 3}', "must point into the schema"),
        ('{"enum": []}', "enum must be a list"),
        ('{"anyOf": [1]}', "is no schema"),
        ('{"allOf": [{}, {}]}', "only one schema"),
        ('{"type": "object", "properties": []}', "properties must be an object"),
        ('{"type": "object", "required": [1]}', "required a list of names"),
        ('{"type": "array", "maxItems": 1e9}', "whole number"),
        ('{"type": "array", "minItems": 3, "maxItems": 2}', "minItems is above maxItems"),
        ('{"type": "string", "maxLength": 1000}', "whole number from 0 to 256"),
        ('{"type": "string", "minLength": -1}', "whole number"),
        ('{"not": {}}', "not cannot be enforced"),
    ],
)
def test_schemas_that_cannot_be_kept_are_rejected_with_their_place(schema: str, message: str) -> None:
    with pytest.raises(RequestRejected, match=message):
        GrammarRules().add_reply(schema, "reply")


def test_a_schema_of_too_many_parts_is_rejected() -> None:
    wide = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(65)}}
    deep: dict[str, object] = {}
    for _ in range(20):
        deep = {"type": "array", "items": deep}
    for schema in (wide, deep):
        with pytest.raises(RequestRejected):
            rules_of(schema)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats(allow_nan=False))
KEYWORDS = st.sampled_from(["type", "properties", "items", "enum", "anyOf", "required", "$ref", "minItems", "const"])
ANY_SCHEMA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=3), max_leaves=12
)


@settings(deadline=None, max_examples=80)
@given(ANY_SCHEMA)
def test_any_json_becomes_rules_or_is_rejected(schema: object) -> None:
    try:
        text = rules_of(schema)
    except RequestRejected:
        return
    assert text.startswith("root ::= ")


def test_a_literal_stands_for_its_text() -> None:
    assert literal('a"b\\c\n') == '"a\\"b\\\\c\\n"'
