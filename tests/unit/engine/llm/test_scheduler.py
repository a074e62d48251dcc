from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.engine.llm.scheduler import DecodeStep, PrefillStep, Scheduler, WaitingLine


def run(scheduler: Scheduler, step: PrefillStep) -> None:
    for part in step.parts:
        scheduler.prefilled(part.request_id, part.num_tokens)


def test_nothing_to_do_is_no_step() -> None:
    assert Scheduler(prefill_tokens=64).next_step() is None


def test_a_prompt_is_split_by_the_budget_and_only_its_end_is_last() -> None:
    scheduler = Scheduler(prefill_tokens=64)
    scheduler.add(1, priority=0, num_tokens=100)
    first = scheduler.next_step()
    assert isinstance(first, PrefillStep)
    assert [(part.num_tokens, part.is_last) for part in first.parts] == [(64, False)]
    run(scheduler, first)
    second = scheduler.next_step()
    assert isinstance(second, PrefillStep)
    assert [(part.num_tokens, part.is_last) for part in second.parts] == [(36, True)]


def test_urgent_prompts_run_first() -> None:
    scheduler = Scheduler(prefill_tokens=64)
    scheduler.add(1, priority=1, num_tokens=50)
    scheduler.add(2, priority=0, num_tokens=50)
    step = scheduler.next_step()
    assert isinstance(step, PrefillStep)
    assert [(part.request_id, part.num_tokens) for part in step.parts] == [(2, 50), (1, 14)]


def test_replies_go_before_prompts_and_shorten_their_steps() -> None:
    scheduler = Scheduler(prefill_tokens=256, short_prefill_tokens=32)
    scheduler.add(1, priority=0, num_tokens=10)
    step = scheduler.next_step()
    assert isinstance(step, PrefillStep)
    run(scheduler, step)
    scheduler.add(2, priority=0, num_tokens=100)
    kinds = []
    for _ in range(6):
        step = scheduler.next_step()
        kinds.append(type(step))
        if isinstance(step, PrefillStep):
            assert step.num_tokens <= 32
            run(scheduler, step)
    assert kinds == [DecodeStep, PrefillStep] * 3


def test_an_expected_prompt_runs_only_where_nobody_else_wants_a_step() -> None:
    scheduler = Scheduler(prefill_tokens=64)
    scheduler.add(1, priority=2, num_tokens=64, is_expected=True)
    scheduler.add(2, priority=2, num_tokens=10)
    step = scheduler.next_step()
    assert isinstance(step, PrefillStep)
    assert [part.request_id for part in step.parts] == [2]
    run(scheduler, step)
    assert [scheduler.next_step() for _ in range(3)] == [DecodeStep((2,))] * 3
    scheduler.remove(2)
    step = scheduler.next_step()
    assert isinstance(step, PrefillStep)
    assert [part.request_id for part in step.parts] == [1]


@settings(deadline=None, max_examples=60)
@given(
    prompts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 700)), min_size=1, max_size=12),
    budget=st.integers(16, 256),
    short=st.integers(16, 64),
)
def test_budgets_hold_and_every_prompt_ends(prompts: list[tuple[int, int]], budget: int, short: int) -> None:
    scheduler = Scheduler(prefill_tokens=budget, short_prefill_tokens=short)
    remaining = {}
    for request_id, (priority, num_tokens) in enumerate(prompts):
        scheduler.add(request_id, priority=priority, num_tokens=num_tokens)
        remaining[request_id] = num_tokens
    decoding: set[int] = set()
    while remaining:
        step = scheduler.next_step()
        if isinstance(step, DecodeStep):
            assert set(step.request_ids) == decoding
            step = scheduler.next_step()
            assert isinstance(step, PrefillStep), "two steps of decoding in a row starve the prompts"
        assert isinstance(step, PrefillStep)
        assert 0 < step.num_tokens <= (min(short, budget) if decoding else budget)
        for part in step.parts:
            remaining[part.request_id] -= part.num_tokens
            assert part.is_last == (remaining[part.request_id] == 0)
            if part.is_last:
                del remaining[part.request_id]
                decoding.add(part.request_id)
        run(scheduler, step)
    assert len(scheduler) == len(decoding)
    for request_id in decoding:
        scheduler.remove(request_id)
    assert scheduler.next_step() is None


@settings(deadline=None, max_examples=60)
@given(priority=st.integers(0, 4), budget=st.integers(16, 128))
def test_no_prompt_starves_behind_a_stream_of_urgent_ones(priority: int, budget: int) -> None:
    scheduler = Scheduler(prefill_tokens=budget)
    scheduler.add(0, priority=priority, num_tokens=budget)
    for newcomer in range(1, 40):
        scheduler.add(newcomer, priority=0, num_tokens=budget)
        step = scheduler.next_step()
        assert isinstance(step, PrefillStep)
        run(scheduler, step)
        for part in step.parts:
            scheduler.remove(part.request_id)
        if step.parts[0].request_id == 0:
            return
    raise AssertionError("the prompt never ran")


def test_among_equals_the_nearer_deadline_runs_first() -> None:
    scheduler = Scheduler(prefill_tokens=64)
    scheduler.add(1, priority=0, num_tokens=60, deadline_at=9.0)
    scheduler.add(2, priority=0, num_tokens=60, deadline_at=5.0)
    scheduler.add(3, priority=1, num_tokens=60, deadline_at=1.0)
    step = scheduler.next_step()
    assert isinstance(step, PrefillStep)
    assert [(part.request_id, part.num_tokens) for part in step.parts] == [(2, 60), (1, 4)]


def test_waiting_requests_go_by_priority_then_deadline_then_age_and_skip_busy_sessions() -> None:
    line = WaitingLine()
    line.add(1, "a", 1, 1.0)
    line.add(2, "b", 0, 9.0)
    line.add(3, "c", 0, 9.0)
    line.add(4, "d", 0, 5.0)
    assert line.next_ready(frozenset()) == 4
    assert line.next_ready({"d"}) == 2
    assert line.next_ready({"b", "d"}) == 3
    assert line.next_ready({"b", "c", "d"}) == 1
    line.remove(1)
    line.remove(99)
    assert line.next_ready({"b", "c", "d"}) is None
    assert len(line) == 3
    assert list(line) == [2, 3, 4]


def test_who_waits_is_not_passed_over_for_ever() -> None:
    line = WaitingLine()
    line.add(0, "patient", 2, 1e9)
    for newcomer in range(1, 40):
        line.add(newcomer, f"session {newcomer}", 0, float(newcomer))
        begun = line.next_ready(frozenset())
        assert begun is not None
        line.begin(begun, frozenset())
        if begun == 0:
            return
    raise AssertionError("the request never began")


def test_a_session_that_is_busy_is_not_passed_over() -> None:
    line = WaitingLine()
    line.add(0, "busy", 1)
    for newcomer in range(1, 20):
        line.add(newcomer, "other", 0)
        line.begin(newcomer, {"busy"})
    line.add(99, "other", 0)
    assert line.next_ready(frozenset()) == 99
