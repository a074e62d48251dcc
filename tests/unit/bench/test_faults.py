"""A kill is charged with the waiting that followed it, and with no other."""

from voicectl.bench.faults import Kill, impacts
from voicectl.bench.load import CallOutcome, TurnOutcome
from voicectl.bench.turns import TurnEvidence, report_turn

BLANK = report_turn(TurnEvidence(heard="", replies=(), rate=24_000))


def turn(voiced_at: float, answered_at: float | None) -> TurnOutcome:
    fields = {name: getattr(BLANK, name) for name in BLANK.__slots__}
    v2v_ms = None if answered_at is None else 1000 * (answered_at - voiced_at)
    fields |= {"last_voiced_at": voiced_at, "first_audible_at": answered_at, "v2v_ms": v2v_ms}
    return TurnOutcome(0, 0, "clip.wav", voiced_at - 3, type(BLANK)(**fields))


def impact_on(*turns: TurnOutcome, at: float = 100.0) -> list[tuple[float | None, int]]:
    kill = Kill("llm", 7, at, at + 1)
    found = impacts([kill], [CallOutcome(0, connected=True, turns=list(turns))])
    return [(one.waited_s, one.unanswered) for one in found]


def test_an_answer_in_preparation_is_waited_for_from_the_kill() -> None:
    assert impact_on(turn(99.5, 101.5)) == [(1.5, 0)]


def test_words_after_the_kill_are_waited_for_from_their_end() -> None:
    assert impact_on(turn(90.0, 91.0), turn(102.0, 102.5)) == [(0.5, 0)]


def test_a_turn_that_gets_no_answer_is_counted_and_the_next_one_is_measured() -> None:
    assert impact_on(turn(99.9, None), turn(112.0, 113.0)) == [(1.0, 1)]


def test_a_turn_that_went_unanswered_before_is_not_charged() -> None:
    assert impact_on(turn(80.0, None), turn(103.0, 104.0)) == [(1.0, 0)]


def test_a_call_that_is_never_answered_again_shows_it() -> None:
    assert impact_on(turn(101.0, None)) == [(None, 1)]


def test_a_call_without_a_turn_left_says_nothing() -> None:
    assert impact_on(turn(90.0, 91.0)) == []
