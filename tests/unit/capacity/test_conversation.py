"""Tests of conversations: how much lies behind in calls of a length."""

from dataclasses import replace

import pytest

from tests.fakes.capacity_shapes import CONVERSATION
from voicectl.core.errors import ConfigError


def test_half_of_a_calls_turns_lie_behind_on_average() -> None:
    cycle_s = CONVERSATION.cycle_s()
    assert CONVERSATION.lasting(20 * cycle_s).turns_behind == pytest.approx(10)
    assert CONVERSATION.lasting(20 * cycle_s).context_tokens == 10 * CONVERSATION.turn_tokens
    assert CONVERSATION.lasting(1.0).turns_behind == 1.0


def test_a_conversation_reads_as_it_was_written() -> None:
    assert type(CONVERSATION).read(CONVERSATION.document()) == CONVERSATION


@pytest.mark.parametrize("change", [{"turn_tokens": 0}, {"turns_behind": -1.0}, {"turns": ()}])
def test_a_conversation_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="conversation test"):
        replace(CONVERSATION, **change)
