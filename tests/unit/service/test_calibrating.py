"""Tests of what a calibration keeps of work that was timed twice."""

from voicectl.capacity.observations import Observation
from voicectl.service.calibrating import undisturbed


def test_the_faster_of_two_timings_counts() -> None:
    first = [Observation("turn", (), 0.03), Observation("prefill", (1, 20, 10), 0.2)]
    second = [Observation("turn", (), 0.05), Observation("prefill", (1, 20, 11), 0.1)]
    assert undisturbed(first, second) == [first[0], second[1]]


def test_work_that_cannot_be_paired_is_kept_whole() -> None:
    one, other = Observation("turn", (), 0.03), Observation("decode", (1, 80), 0.02)
    assert undisturbed([one], [other]) == [one, other]
    assert undisturbed([one, other], [one]) == [one, other, one]
