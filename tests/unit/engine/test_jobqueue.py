import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.jobqueue import JobQueue, QueueLimits, Verdict

FINAL, SPECULATIVE, PARTIAL = 0, 1, 2


def queue(lanes: int = 2, depth: int = 3, most: int = 1, linger_s: float = 0.0) -> JobQueue[str]:
    return JobQueue(QueueLimits(lanes=lanes, depth=depth, optional_from=PARTIAL, most=most, linger_s=linger_s))


def offer(
    q: JobQueue[str], name: str, priority: int, deadline_at: float = 10.0, group: str | None = None, now: float = 0.0
) -> Verdict[str]:
    return q.offer(name, request_id=hash(name), priority=priority, deadline_at=deadline_at, group=group, now=now)


def test_finals_run_before_speculations_and_equals_in_order() -> None:
    q = queue()
    for name, priority in (("s1", SPECULATIVE), ("f1", FINAL), ("s2", SPECULATIVE), ("f2", FINAL)):
        assert offer(q, name, priority).admitted
    assert [q.take() for _ in range(5)] == [("f1",), ("f2",), ("s1",), ("s2",), ()]


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
    assert q.take() == ("p1",)
    assert not offer(q, "p3", PARTIAL).admitted
    assert offer(q, "f", FINAL) == Verdict(admitted=True)


def test_a_single_lane_takes_a_partial_only_when_idle() -> None:
    q = queue(lanes=1)
    assert offer(q, "p1", PARTIAL).admitted
    assert not offer(q, "p2", PARTIAL).admitted


def test_an_important_job_displaces_a_partial_when_no_lane_is_free() -> None:
    q = queue(lanes=2)
    offer(q, "p", PARTIAL)
    assert q.take() == ("p",)
    assert offer(q, "f1", FINAL).displaced == ()
    assert offer(q, "f2", FINAL).displaced == ("p",)


def test_a_displaced_partial_that_waited_never_runs() -> None:
    q = queue(lanes=1)
    offer(q, "p", PARTIAL)
    assert offer(q, "f", FINAL).displaced == ("p",)
    assert [q.take(), q.take()] == [("f",), ()]


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
    assert q.take() == ("old",)
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
    q.finish([hash("a")])
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
            running += len(q.take())
    assert all(priorities[index] > FINAL for index in lost)


def test_jobs_of_one_group_run_together_when_more_wait_than_lanes_are_idle() -> None:
    q = queue(lanes=1, depth=5, most=2)
    for name, group in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a")):
        offer(q, name, FINAL, group=group)
    assert [q.take() for _ in range(3)] == [("a1", "a2"), ("b1",), ("a3",)]


def test_jobs_run_side_by_side_rather_than_together_while_lanes_are_idle() -> None:
    q = queue(lanes=2, most=4)
    offer(q, "a1", FINAL, group="a")
    offer(q, "a2", FINAL, group="a")
    assert [q.take(), q.take()] == [("a1",), ("a2",)]


def test_jobs_without_a_group_and_partials_run_alone() -> None:
    q = queue(lanes=1, depth=5, most=4)
    offer(q, "p", PARTIAL, group="a")
    assert q.take() == ("p",)
    offer(q, "x", FINAL)
    offer(q, "y", FINAL)
    assert [q.take(), q.take()] == [("x",), ("y",)]


def test_a_lone_job_waits_for_nobody() -> None:
    q = queue(lanes=2, most=4, linger_s=0.01)
    offer(q, "a1", FINAL, group="a", now=1.0)
    assert q.hold_s(1.0) == 0.0
    assert q.take(1.0) == ("a1",)


def test_a_job_lingers_for_company_only_while_another_batch_runs() -> None:
    q = queue(lanes=2, most=2, linger_s=0.01)
    offer(q, "a1", FINAL, group="a", now=1.0)
    q.take(1.0)
    offer(q, "a2", FINAL, group="a", now=2.0)
    assert q.take(2.004) == ()
    assert q.hold_s(2.004) == pytest.approx(0.006)
    assert q.take(2.01) == ("a2",)
    assert q.hold_s(2.02) is None


def test_company_or_the_end_of_the_other_batch_ends_the_lingering() -> None:
    q = queue(lanes=2, most=2, linger_s=0.01)
    offer(q, "a1", FINAL, group="a")
    q.take()
    offer(q, "a2", FINAL, group="a")
    assert q.take() == ()
    offer(q, "a3", FINAL, group="a")
    assert q.take() == ("a2", "a3")
    offer(q, "a4", FINAL, group="a")
    q.finish([hash("a1")])
    q.finish([hash("a2"), hash("a3")])
    assert q.take() == ("a4",)


def test_a_batch_takes_one_lane() -> None:
    q = queue(lanes=2, depth=5, most=2)
    for name in ("a1", "a2", "a3"):
        offer(q, name, FINAL, group="a")
    assert q.take() == ("a1", "a2")
    assert q.take() == ("a3",)
    q.finish([hash("a1"), hash("a2")])
    assert offer(q, "p", PARTIAL).admitted


JOBS = st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", None]))


@given(
    steps=st.lists(st.one_of(JOBS, st.sampled_from(["take", "finish"])), max_size=60),
    lanes=st.integers(1, 3),
    most=st.integers(1, 4),
    linger_s=st.sampled_from([0.0, 2.5]),
)
def test_every_job_ends_once_and_batches_keep_group_size_and_order(
    steps: list[tuple[int, str | None] | str], lanes: int, most: int, linger_s: float
) -> None:
    q: JobQueue[int] = JobQueue(QueueLimits(lanes, 4, optional_from=PARTIAL, most=most, linger_s=linger_s))
    told: dict[int, tuple[int, str | None]] = {}
    waiting: set[int] = set()
    running: list[tuple[int, ...]] = []
    for at, step in enumerate([*steps, *["take", "finish"] * (len(steps) + 1)]):
        now = float(at)
        if isinstance(step, tuple):
            verdict = q.offer(at, request_id=at, priority=step[0], deadline_at=1e9, group=step[1], now=now)
            told[at] = step
            waiting -= set(verdict.displaced)
            waiting |= {at} if verdict.admitted else set()
            assert verdict.admitted or verdict.reason
        elif step == "take" and len(running) < lanes:
            due = q.hold_s(now) == 0.0
            batch = q.take(now)
            assert bool(batch) == due
            if not batch:
                assert not waiting or running, "an idle stage never lets a job wait"
                continue
            assert set(batch) <= waiting
            assert len(batch) <= most
            assert len({told[job][1] for job in batch}) == 1
            assert len(batch) == 1 or (told[batch[0]][1] is not None and PARTIAL not in {told[job][0] for job in batch})
            assert (told[batch[0]][0], batch[0]) == min((told[job][0], job) for job in waiting)
            assert list(batch) == sorted(batch, key=lambda job: (told[job][0], job))
            waiting -= set(batch)
            running.append(batch)
        elif step == "finish" and running:
            q.finish(running.pop(0))
        assert len(q) == len(waiting) + sum(len(batch) for batch in running)
        assert len(waiting) <= max(0, lanes - len(running)) + 4
    assert not waiting
