"""A person is the same by every spelling, and words are free of what nobody sees."""

import pytest
from pydantic import TypeAdapter, ValidationError

from voicectl.governance.policy.persons import Note, Person, in_a_line, one_person_twice, same_person, shown


@pytest.mark.parametrize(
    "other",
    [
        "Jose\u0301 Ruiz",
        "Jos\u00e9\u200b Ruiz",
        "JOS\u00c9\u00a0 RUIZ",
        "\u202eJos\u00e9 Ruiz\u202c",
        "Jos\u00e9 Ru\u00adiz\x00",
        "\uff2aos\u00e9 Ruiz\ufe0f\u115f",
    ],
)
def test_a_person_is_one_however_the_name_is_written(other: str) -> None:
    assert same_person("Jos\u00e9 Ruiz", other)
    assert one_person_twice(["Ann Lee", "Jos\u00e9 Ruiz", other])


def test_other_people_are_others() -> None:
    assert not one_person_twice(["Jos\u00e9 Ruiz", "Jose Ruiz", "Ann Lee"])


@pytest.mark.parametrize("name", ["Ol\x01ga", "Jos\u00e9\u200b Ruiz", "Ann\u202e", "Ann\x85Lee", "Ann\u3164"])
def test_a_name_with_what_nobody_sees_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="not seen"):
        TypeAdapter(Person).validate_python(name)


def test_a_note_has_lines_but_no_control_characters() -> None:
    note = TypeAdapter(Note)
    assert note.validate_python("one\n\ttwo \u200d") == "one\n\ttwo \u200d"
    with pytest.raises(ValidationError, match="control"):
        note.validate_python("\x1b[31m")


def test_what_is_shown_and_said_can_be_seen() -> None:
    assert shown("a\x00b\nc\ud800") == "a\N{REPLACEMENT CHARACTER}b\nc\N{REPLACEMENT CHARACTER}"
    assert in_a_line("  a \n b\r\n") == "a b"
    assert len(in_a_line("word " * 1000)) == 512
