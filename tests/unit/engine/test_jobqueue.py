import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.jobqueue import JobQueue, QueueLimits, Verdict

FINAL, SPECULATIVE, PARTIAL = 0, 1, 2


def queue(lanes: int = 2, depth: int = 3) -> JobQueue[str]:
    return JobQueue(QueueLimits(lanes=lanes, depth=depth, optional_from=PARTIAL))


def offer(q: JobQueue[str], name: str, priority: int, deadline_at: float = 10.0) -> Verdict[str]:
    return q.offer(name, request_id=hash(name), priority=priority, deadline_at=deadline_at)


def test_finals_run_before_speculations_and_equals_in_order() -> None:
    q = queue()
    for name, priority in (("s1", SPECULATIVE), ("f1", FINAL), ("s2", SPECULATIVE), ("f2", FINAL)):
        assert offer(q, name, priority).admitted
    assert [q.take() for _ in range(5)] == ["f1", "f2", "s1", "s2", None]


def test_a_partial_is_rejected_while_anything_fills_the_lanes() -> None:
    q = queue(lanes=2)
    offer(q, "f1", FINAL)
    offer(q, "f2", FINAL)
    verdict = offer(q, "p", PARTIAL)
    assert not verdict.admitted
    assert "2 lanes" in verdict.reason


def test_partials_leave_one_lane_free() -> None:
    q = queue(lanes=2)
    assert offer(q, "p1", PARTIAL).admitted
    assert not offer(q, "p2", PARTIAL).admitted
    assert q.take() == "p1"
    assert not offer(q, "p3", PARTIAL).admitted
    assert offer(q, "f", FINAL) == Verdict(admitted=True)


def test_a_single_lane_takes_a_partial_only_when_idle() -> None:
    q = queue(lanes=1)
    assert offer(q, "p1", PARTIAL).admitted
    assert not offer(q, "p2", PARTIAL).admitted


def test_an_important_job_displaces_a_partial_when_no_lane_is_free() -> None:
    q = queue(lanes=2)
    offer(q, "p", PARTIAL)
    assert q.take() == "p"
    assert offer(q, "f1", FINAL).displaced == ()
    assert offer(q, "f2", FINAL).displaced == ("p",)


def test_a_displaced_partial_that_waited_never_runs() -> None:
    q = queue(lanes=1)
    offer(q, "p", PARTIAL)
    assert offer(q, "f", FINAL).displaced == ("p",)
    assert [q.take(), q.take()] == ["f", None]


def test_a_full_queue_rejects_equals_and_displaces_the_newest_of_the_less_important() -> None:
    q = queue(lanes=1, depth=2)
    for name in ("s1", "s2", "s3"):
        assert offer(q, name, SPECULATIVE).admitted
    assert not offer(q, "s4", SPECULATIVE).admitted
    assert offer(q, "f", FINAL).displaced == ("s3",)
    assert len(q) == 3


def test_a_request_id_in_progress_is_rejected() -> None:
    q = queue()
    offer(q, "a", FINAL)
    assert "already in progress" in offer(q, "a", FINAL).reason


def test_expired_jobs_leave_the_queue_and_running_ones_stay() -> None:
    q = queue()
    offer(q, "old", FINAL, deadline_at=1.0)
    assert q.take() == "old"
    offer(q, "late", FINAL, deadline_at=1.0)
    offer(q, "live", FINAL, deadline_at=2.0)
    assert q.expire(1.0) == ["late"]
    assert len(q) == 2


def test_withdrawing_keeps_the_lane_of_a_running_job() -> None:
    q = queue()
    offer(q, "a", FINAL)
    q.take()
    assert q.withdraw(hash("a")) == "a"
    assert len(q) == 1
    q.finish(hash("a"))
    assert len(q) == 0
    assert q.withdraw(hash("a")) is None


def test_draining_returns_waiting_and_running_jobs() -> None:
    q = queue()
    offer(q, "a", FINAL)
    q.take()
    offer(q, "b", FINAL)
    assert q.drain() == ["b", "a"]


@pytest.mark.parametrize("lanes", [1, 2, 3])
@given(priorities=st.lists(st.integers(min_value=0, max_value=2), max_size=30), takes=st.integers(0, 4))
def test_bounds_hold_for_any_offers(lanes: int, priorities: list[int], takes: int) -> None:
    q: JobQueue[int] = JobQueue(QueueLimits(lanes=lanes, depth=4, optional_from=PARTIAL))
    lost: set[int] = set()
    running = 0
    for index, priority in enumerate(priorities):
        verdict = q.offer(index, request_id=index, priority=priority, deadline_at=1.0)
        lost |= set(verdict.displaced)
        assert verdict.admitted or verdict.reason
        assert len(q) <= lanes + 4
        if running < min(lanes, takes):
            running += q.take() is not None
    assert all(priorities[index] > FINAL for index in lost)
