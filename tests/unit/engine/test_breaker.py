from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voicectl.core.sections.resilience import Breakers
from voicectl.engine.breaker import Breaker, BreakerPolicy, Permit

POLICY = BreakerPolicy(failures=3, failure_rate=0.5, min_requests=10, window_s=30.0, open_s=1.0, max_open_s=8.0)


def permit(breaker: Breaker, now: float) -> Permit:
    allowed = breaker.ask(now)
    assert allowed is not None
    return allowed


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.failures):
        breaker.failed(permit(breaker, now), now)
    assert breaker.state(now) == "open"
    return breaker


def test_policy_is_the_profiles() -> None:
    settings = Breakers(failures=7, open_s=2, max_open_s=3)
    assert BreakerPolicy.of(settings) == BreakerPolicy(failures=7, open_s=2, max_open_s=3)


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(POLICY)
    for _ in range(2):
        breaker.failed(permit(breaker, 0), 0)
    assert breaker.state(0) == "closed"
    breaker.failed(permit(breaker, 0), 0)
    assert breaker.state(0) == "open"
    assert breaker.ask(0.99) is None
    assert breaker.snapshot(0.5).opened_at == 0


def test_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.failed(permit(breaker, 0), 0)
        breaker.succeeded(permit(breaker, 0), 0)
        breaker.succeeded(permit(breaker, 0), 0)
    assert breaker.state(0) == "closed"


def test_every_second_failure_opens_it_by_its_rate() -> None:
    breaker = Breaker(POLICY)
    for number in range(10):
        assert breaker.state(number) == "closed"
        allowed = permit(breaker, number)
        if number % 2:
            breaker.failed(allowed, number)
        else:
            breaker.succeeded(allowed, number)
    assert breaker.state(9.5) == "open"


def test_old_failures_do_not_count() -> None:
    breaker = Breaker(POLICY)
    for number in range(30):
        allowed = permit(breaker, number * 10)
        if number % 2:
            breaker.failed(allowed, number * 10)
        else:
            breaker.succeeded(allowed, number * 10)
    assert breaker.state(300) == "closed"


def test_one_probe_at_a_time_and_its_success_closes() -> None:
    breaker = opened()
    assert breaker.state(1.0) == "half_open"
    probe = permit(breaker, 1.0)
    assert probe.is_probe
    assert breaker.ask(1.0) is None
    breaker.succeeded(probe, 1.1)
    assert breaker.state(1.1) == "closed"
    assert not permit(breaker, 1.1).is_probe


def test_failed_probes_double_the_wait_up_to_its_bound() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.wait_s())
        now += breaker.wait_s()
        breaker.failed(permit(breaker, now), now)
    assert waits == [1, 2, 4, 8, 8, 8]


def test_abandoned_probe_lets_the_next_one_through() -> None:
    breaker = opened()
    breaker.abandoned(permit(breaker, 1.0))
    assert permit(breaker, 1.0).is_probe


def test_requests_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker(POLICY)
    late = [permit(breaker, 0) for _ in range(8)]
    for one in late[:3]:
        breaker.failed(one, 0)
    for one in late[3:6]:
        breaker.failed(one, 0.5)
    breaker.succeeded(late[6], 0.5)
    breaker.abandoned(late[7])
    assert breaker.snapshot(0.5).num_opened == 1
    assert breaker.probe_at() == 1.0


class BreakerMachine(RuleBasedStateMachine):
    """Any order of requests, answers and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now = 0.0
        self.flight: list[Permit] = []

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        would = self.breaker.would_allow(self.now)
        allowed = self.breaker.ask(self.now)
        assert would == (allowed is not None)
        if allowed is not None:
            self.flight.append(allowed)

    @precondition(lambda self: self.flight)
    @rule(pick=st.integers(0, 10_000), how=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def answer(self, pick: int, how: str) -> None:
        one = self.flight.pop(pick % len(self.flight))
        match how:
            case "succeeded":
                self.breaker.succeeded(one, self.now)
            case "failed":
                self.breaker.failed(one, self.now)
            case _:
                self.breaker.abandoned(one)

    @invariant()
    def at_most_one_current_probe_is_in_flight(self) -> None:
        current = [one for one in self.flight if one.is_probe and one.epoch == self.breaker._epoch]
        assert len(current) <= 1

    @invariant()
    def it_never_stays_shut_for_longer_than_its_bound(self) -> None:
        if self.breaker.state(self.now) == "open":
            assert self.breaker.probe_at() - self.now <= POLICY.max_open_s

    @invariant()
    def closed_means_no_row_of_failures(self) -> None:
        if self.breaker.state(self.now) == "closed":
            assert self.breaker.snapshot(self.now).failures < POLICY.failures


BreakerMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase


@given(st.lists(st.booleans(), max_size=200))
def test_a_stage_that_recovers_is_used_again(outcomes: list[bool]) -> None:
    breaker, now = Breaker(POLICY), 0.0
    for failed in outcomes:
        now += 0.1
        if (allowed := breaker.ask(now)) is not None:
            breaker.failed(allowed, now) if failed else breaker.succeeded(allowed, now)
    now += POLICY.max_open_s
    breaker.succeeded(permit(breaker, now), now)
    assert breaker.state(now) == "closed"


def test_snapshot_counts() -> None:
    breaker = opened()
    seen = breaker.snapshot(2.0)
    assert (seen.state, seen.failures, seen.num_opened, seen.opened_at) == ("half_open", 3, 1, 0.0)
    assert Breaker(POLICY).snapshot(0).opened_at is None
