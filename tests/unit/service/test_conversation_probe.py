"""Tests of how utterances are shared out among the calls that are profiled."""

import itertools

import pytest

from voicectl.service.conversation_probe import WARM_UP_TURNS, _calls


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("num_utterances", [1, 2, 3, 6, 13])
def test_each_utterance_counts_as_often_as_wanted_and_follows_others(num_utterances: int, times: int) -> None:
    calls = _calls(num_utterances, times)
    said = [index for call in calls for index in call[WARM_UP_TURNS:]]
    assert sorted(said) == sorted(list(range(num_utterances)) * times)
    assert said[:num_utterances] == list(range(num_utterances))
    for call in calls:
        assert len(call) > WARM_UP_TURNS
        assert all(later == (earlier + 1) % num_utterances for earlier, later in itertools.pairwise(call))


def test_calls_that_say_the_same_again_begin_elsewhere() -> None:
    assert [call[WARM_UP_TURNS] for call in _calls(12, 3)] == [0, 6, 2, 8, 4, 10]
