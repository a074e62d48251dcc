"""Tests of how utterances are shared out among the calls that are profiled."""

import itertools

import pytest

from voicectl.service.conversation_probe import WARM_UP_TURNS, _calls


@pytest.mark.parametrize("num_utterances", [1, 2, 3, 6, 13])
def test_each_utterance_counts_once_and_follows_others(num_utterances: int) -> None:
    calls = _calls(num_utterances)
    assert [index for call in calls for index in call[WARM_UP_TURNS:]] == list(range(num_utterances))
    for call in calls:
        assert len(call) > WARM_UP_TURNS
        assert all(later == (earlier + 1) % num_utterances for earlier, later in itertools.pairwise(call))
