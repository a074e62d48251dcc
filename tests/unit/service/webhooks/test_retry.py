"""When it is tried again, and when not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.service.webhooks.retry import Circuit, Retries, backoff_s, given_up

RETRIES = Retries(backoff_s=2, max_backoff_s=60, max_attempts=5, max_age_s=600, open_after=3, max_open_s=10)


def test_the_wait_doubles_up_to_a_bound() -> None:
    assert [backoff_s(attempts, RETRIES, 0.0) for attempts in (1, 2, 3, 5, 6, 10_000)] == [2, 4, 8, 32, 60, 60]


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_chance_takes_away_up_to_half(attempts: int, chance: float) -> None:
    full = backoff_s(attempts, RETRIES, 0.0)
    assert full / 2 <= backoff_s(attempts, RETRIES, chance) <= full


@pytest.mark.parametrize(
    ("attempts", "age_s", "over"), [(4, 599, False), (5, 0, True), (1, 600, True), (1, -9000, False)]
)
def test_attempts_and_age_end_it(attempts: int, age_s: float, over: bool) -> None:
    assert given_up(attempts, age_s, RETRIES) is over


def failed(circuit: Circuit, now: float = 0.0) -> Circuit:
    return circuit.after(delivered=False, now=now, retries=RETRIES, chance=0.0)


def test_the_circuit_opens_after_failures_in_a_row_and_for_longer_each_time() -> None:
    circuit = failed(failed(Circuit()))
    assert circuit.wait_s(0) == 0
    assert not circuit.probing(RETRIES)
    waits = []
    for _ in range(5):
        circuit = failed(circuit)
        waits.append(circuit.wait_s(0))
    assert waits == [2, 4, 8, 10, 10]


def test_an_open_circuit_lets_one_attempt_through_once_its_time_is_over() -> None:
    circuit = failed(failed(failed(Circuit())), now=100)
    assert circuit.wait_s(101) == 1
    assert circuit.wait_s(102) == 0
    assert circuit.probing(RETRIES)


def test_a_delivery_closes_the_circuit() -> None:
    circuit = failed(failed(failed(Circuit())))
    assert circuit.after(delivered=True, now=5, retries=RETRIES, chance=0.0) == Circuit()
