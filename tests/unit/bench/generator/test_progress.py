"""Progress of a run: counted from what the workers tell."""

from voicectl.bench.generator.messages import CallBegan, CallOver, TurnOver
from voicectl.bench.generator.progress import RECENT, Progress, Tally
from voicectl.bench.run_record import CallSample, TurnSample


def turn(v2v_s: float | None) -> TurnSample:
    return TurnSample(0, "hello", "speech", "timed-out" if v2v_s is None else "answered", 1.0, v2v_s)


def call(number: int, end: str) -> CallSample:
    return CallSample(number, "one", 0.0, 0.0, None, 1.0, end)


def test_calls_and_turns_are_counted() -> None:
    tally = Tally(duration_s=60.0, epoch_at=100.0, clock=lambda: 115.0)
    for message in (
        *(CallBegan(number) for number in range(4)),
        TurnOver(0, turn(0.4)),
        TurnOver(0, turn(None)),
        CallOver(call(0, "completed"), {"model": "m"}),
        CallOver(call(1, "lost"), {}),
    ):
        tally.note(message)
    assert tally.progress() == Progress(
        elapsed_s=15.0,
        remaining_s=45.0,
        calls_begun=4,
        calls_live=2,
        calls_completed=1,
        calls_failed=1,
        turns=2,
        answered=1,
        recent_v2v_s=(0.4,),
    )
    assert tally.said == {"model": "m"}


def test_only_recent_latencies_are_shown() -> None:
    tally = Tally(60.0, 0.0, clock=lambda: 99.0)
    for number in range(RECENT + 10):
        tally.note(TurnOver(0, turn(number / 1000)))
    assert len(tally.progress().recent_v2v_s) == RECENT
    assert tally.progress().recent_v2v_s[0] == 0.01
    assert tally.progress().remaining_s == 0.0
