"""That a caller said nothing is claimed only where it is certain."""

from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.records import NOW, a_call, said
from voicectl.core.records import TurnRow
from voicectl.governance.score.conversation import Conversation


def greeted(*turns: TurnRow, **known: Any) -> Conversation:
    return Conversation(a_call(**{"num_redactions": 0, "num_turns": 1, **known}), turns or said("c1", (None, "Hello.")))


def test_a_caller_who_hangs_up_on_the_greeting_was_silent() -> None:
    assert greeted().caller_was_silent
    assert Conversation(a_call(num_turns=0), ()).caller_was_silent


@pytest.mark.parametrize(
    "known",
    [
        {"num_redactions": None},
        {"texts_pruned_at": NOW},
        {"incomplete": True},
        {"audio_s": 1.5},
        {"num_misunderstandings": 1},
        {"num_turns": 2},
    ],
)
def test_where_words_may_be_missing_nobody_knows(known: dict[str, Any]) -> None:
    assert not greeted(**known).caller_was_silent


def test_a_turn_of_the_caller_is_one_without_its_words_too() -> None:
    (turn,) = said("c1", (None, "Hello."))
    assert not greeted(replace(turn, transcript="")).caller_was_silent
    assert not greeted(replace(turn, last_voiced_at=3.0)).caller_was_silent
