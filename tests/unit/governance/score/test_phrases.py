"""Expressions are searched each by itself, and what is denied takes away what it overlaps, no more."""

import pytest

from voicectl.governance.score.phrases import Phrase, compiled


def phrase(*wanted: str, denied: tuple[str, ...] = ()) -> Phrase:
    return Phrase(tuple(map(compiled, wanted)), tuple(map(compiled, denied)))


def test_the_first_of_all_expressions_is_found() -> None:
    found = phrase("b", "a").search("x a b")
    assert found is not None
    assert found.span() == (2, 3)
    assert phrase().search("a") is None


def test_words_are_found_whole_and_in_any_case() -> None:
    assert phrase("agent").search("AGENT!")
    assert phrase("agent").search("agents") is None


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("talk to a person", 0),
        ("no need to talk to a person", None),
        ("no need to talk to a real person", None),
        ("no need to talk to a machine, a real person", 30),
        ("no need, talk to a person", 9),
        ("talk to a person, no need to wait", 0),
    ],
)
def test_a_denial_takes_away_what_it_overlaps_and_what_that_overlaps(text: str, start: int | None) -> None:
    asked = phrase("talk to a (real )?person", "a real person", denied=("no need to talk( to)?",))
    found = asked.search(text)
    assert (None if found is None else found.start()) == start
