"""An interrupted agent is measured to its last audible frame; one that goes on is not taken for interrupted."""

import pytest

from voicectl.bench.barge_in import Ear, Frame, judged


def ear(*arrivals: float, audible: int | None = None, ended: tuple[str, float] | None = None) -> Ear:
    heard = Ear()
    last = len(arrivals) if audible is None else audible
    heard.frames = [Frame("resp", at, index < last) for index, at in enumerate(arrivals)]
    heard.frames.append(Frame("another", 99.0, True))
    if ended is not None:
        heard.ended["resp"] = ended
    return heard


def test_silence_begins_after_the_last_audible_frame() -> None:
    found = judged("clip", "resp", 10.0, ear(9.98, 10.0, 10.1, 10.2, 10.22, audible=4, ended=("cancelled", 10.25)))
    assert found.outcome == "stopped"
    assert found.silent_s == pytest.approx(0.2)
    assert found.last_frame_s == pytest.approx(0.22)
    assert found.ended_s == pytest.approx(0.25)


def test_an_agent_that_goes_on_was_not_stopped_and_shows_its_longest_pause() -> None:
    found = judged("uh-huh", "resp", 10.0, ear(9.9, 10.0, 10.02, 10.32, 10.34))
    assert (found.outcome, found.silent_s, found.ended_s) == ("went on", None, None)
    assert found.pause_s == pytest.approx(0.3)


def test_a_reply_that_came_to_its_own_end_tells_nothing() -> None:
    found = judged("clip", "resp", 10.0, ear(9.9, 10.0, ended=("completed", 10.1)))
    assert (found.outcome, found.silent_s) == ("over", None)


def test_the_reply_that_sounds_is_the_one_that_has_not_ended() -> None:
    heard = Ear()
    heard.frames = [Frame("first", 1.0, True), Frame("second", 2.0, False), Frame("second", 2.1, True)]
    assert heard.speaking() == ("first", 1.0)
    heard.ended["first"] = ("completed", 1.5)
    assert heard.speaking() == ("second", 2.1)
