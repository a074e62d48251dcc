"""A text written again goes on where the caller stopped hearing it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.agent.continuation import Continuation, OnDifference


def fed(said: str, text: str, on_difference: OnDifference = "next_sentence", size: int = 3) -> str:
    continuation = Continuation(said, on_difference)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    fresh = "".join(continuation.push(piece) for piece in pieces[:-1])
    return fresh + continuation.push(pieces[-1] if pieces else "", last=True)


def test_the_same_text_goes_on_behind_what_was_said() -> None:
    assert fed("We open at nine. ", "We open at nine. We close at six.") == " We close at six."


def test_nothing_is_left_of_a_text_that_was_said_to_its_end() -> None:
    assert fed("We open at nine.", "We open at nine.") == ""
    assert fed("We open at nine. We close", "We open at nine.") == ""


@pytest.mark.parametrize(
    ("said", "fresh"),
    [
        ("We open at nine. ", " The doors close at six. Bye."),
        ("We open at nine. And we", " Bye."),
        ("We open at nine. We close at six. Goodbye. ", ""),
    ],
)
def test_another_text_goes_on_with_the_next_sentence(said: str, fresh: str) -> None:
    assert fed(said, "Our shop opens at nine. The doors close at six. Bye.") == fresh


def test_another_text_can_begin_again() -> None:
    assert fed("We open at nine. ", "The shop is shut.", "restart") == "The shop is shut."
    assert fed("We open at nine. ", "We open at nine. Bye.", "restart") == " Bye."


WORDS = st.lists(st.sampled_from(["we", "open", "at", "nine.", "Six", "to", "ten!"]), min_size=1, max_size=12)


@given(words=WORDS, cut=st.integers(0, 12), sizes=st.integers(1, 7))
def test_what_was_said_and_what_comes_are_the_text(words: list[str], cut: int, sizes: int) -> None:
    text = " ".join(words)
    said = " ".join(words[:cut])
    rest = fed(said, text, size=sizes)
    assert (said + rest).split() == words if cut else rest == text


@given(old=WORDS, new=WORDS, sizes=st.integers(1, 7))
def test_how_the_text_is_cut_into_pieces_does_not_matter(old: list[str], new: list[str], sizes: int) -> None:
    results = {fed(" ".join(old), " ".join(new), "next_sentence", size) for size in (1, sizes, 1000)}
    assert all(one.split() == other.split() for one, other in pairwise(sorted(results)))
