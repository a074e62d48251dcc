"""Threads that take the most urgent step first, and hand back what comes of it."""

import threading
from collections.abc import Iterator

import pytest

from voicectl.engine.tts.crew import Crew
from voicectl.engine.tts.pacing import Need

WAIT_S = 5.0


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(1)
    yield crew
    crew.close()


def first_clause(order: int) -> Need:
    return Need(due_at=float(order), order=order, dry_at=None)


def test_a_step_returns_its_result_or_raises_its_error(crew: Crew) -> None:
    assert crew.compute(first_clause(1), lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        crew.compute(first_clause(2), lambda: 1 // 0)
    assert crew.compute(first_clause(3), lambda: "lives on") == "lives on"


def test_those_who_wait_go_in_the_order_in_which_they_are_due(crew: Crew) -> None:
    gate, started = threading.Event(), threading.Event()
    order: list[int] = []

    def hold() -> None:
        started.set()
        gate.wait(WAIT_S)

    threads = [threading.Thread(target=crew.compute, args=(first_clause(0), hold))]
    threads[0].start()
    assert started.wait(WAIT_S)
    for number in (3, 1, 2):
        step = threading.Thread(target=crew.compute, args=(first_clause(number), lambda n=number: order.append(n)))
        threads.append(step)
        step.start()
    pause = threading.Event()
    while crew.waiting() < 3:
        pause.wait(0.001)
    gate.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert order == [1, 2, 3]


def test_what_can_wait_runs_beside_urgent_steps(crew: Crew) -> None:
    gate, started = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        gate.wait(WAIT_S)

    urgent = threading.Thread(target=crew.compute, args=(first_clause(0), hold))
    urgent.start()
    assert started.wait(WAIT_S)
    name = crew.compute(Need(due_at=1e12, order=1, dry_at=1e12), lambda: threading.current_thread().name)
    assert name == "tts-background"
    gate.set()
    urgent.join(WAIT_S)


def test_a_crew_that_went_home_takes_no_step() -> None:
    crew = Crew(1)
    crew.close()
    with pytest.raises(RuntimeError, match="gone home"):
        crew.compute(first_clause(1), lambda: None)
