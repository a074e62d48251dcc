"""Plans: what can be run, when its calls begin, and with how many processes."""

import pytest

from voicectl.bench.generator.run import Limits, drain_of, num_workers, starts_of
from voicectl.bench.run_record import LoadPlan
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload
from voicectl.core.errors import UsageError

TURN = ReadyTurn("hello", "speech", 0, 2.0, pause_s=1.0)
WORKLOAD = ReadyWorkload("mine", "", (ReadyConversation("one", 1.0, (TURN,) * 3),), ())


def plan(arrivals: str = "poisson", rate: float | None = 60.0, **keys: object) -> LoadPlan:
    values: dict[str, object] = {"concurrency": None, "burstiness": None, "duration_s": 60.0, "answer_timeout_s": 10.0}
    return LoadPlan("mine", "", 1, arrivals, rate, **{**values, **keys})


def test_open_loop_draws_its_starts_in_advance() -> None:
    starts = starts_of(plan(), Limits())
    assert starts == starts_of(plan(), Limits())
    assert 30 < len(starts) < 90


def test_closed_loop_has_none() -> None:
    assert starts_of(plan("closed", None, concurrency=4), Limits()) == ()


def test_trace_ends_with_the_run() -> None:
    assert starts_of(plan("trace", None), Limits(), (0.5, 3.0, 60.0)) == (0.5, 3.0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (plan(duration_s=0), "a run of 0 s"),
        (plan(duration_s=1e9), "at most 6 hours"),
        (plan(answer_timeout_s=0), "waited for 0 s"),
        (plan("closed", None), "callers, not None"),
        (plan("closed", None, concurrency=5_000), "callers, not 5000"),
        (plan("trace", None), "need a trace"),
        (plan("poisson", None), "need a rate"),
        (plan("sometimes"), "'sometimes' need a rate"),
        (plan("constant", 1e6), "more than"),
        (plan("poisson", 0.001), "no call begins within 60 s"),
    ],
)
def test_plan_that_cannot_be_is_a_usage_error(wrong: LoadPlan, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        starts_of(wrong, Limits())
    assert told in refused.value.message


def test_more_calls_than_the_limit_are_refused() -> None:
    with pytest.raises(UsageError, match="more than the limit of 10"):
        starts_of(plan("constant"), Limits(max_calls=10))


def test_last_call_may_take_as_long_as_all_its_words_and_waits() -> None:
    assert drain_of(plan(), WORKLOAD) == 0.5 + 3 * 3.0 + 3 * 20.0 + 30.0


def test_processes_grow_with_the_calls_at_a_time_up_to_the_cores() -> None:
    assert num_workers(plan("closed", None, concurrency=50), (), WORKLOAD, 8) == 1
    assert num_workers(plan("closed", None, concurrency=350), (), WORKLOAD, 8) == 4
    assert num_workers(plan("closed", None, concurrency=2_000), (), WORKLOAD, 8) == 8
    assert num_workers(plan(), tuple(float(at) for at in range(60)), WORKLOAD, 8) == 1
