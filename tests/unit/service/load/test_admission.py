"""Who gets a place, in virtual time; the shell on an event loop that never waits for a real second."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.errors import RequestRejected
from voicectl.service.load.admission import Admission, Door, Places, Refusal, SessionRefused


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_until_there_are_none() -> None:
    admission = Admission(2)
    await admission.admit("a")
    await admission.admit("b")
    with pytest.raises(SessionRefused, match="2 of 2 calls") as caught:
        await admission.admit("c")
    assert isinstance(caught.value, RequestRejected)
    assert 1 <= caught.value.retry_after_s <= 60
    admission.release("a")
    await admission.admit("c")
    assert len(admission) == 2
    assert admission.num_refused == 1


async def test_refusal_takes_no_time() -> None:
    admission = Admission(1)
    await admission.admit("a")
    times_s = []
    for number in range(200):
        begun = time.perf_counter()
        with pytest.raises(SessionRefused):
            await admission.admit(str(number))
        times_s.append(time.perf_counter() - begun)
    # A hundredth of a millisecond; the bound only catches a wait.
    assert sorted(times_s)[100] < 0.01


async def test_draining_admits_nobody_and_sends_the_waiting_away() -> None:
    admission = Admission(1, max_waiting=1, waiting_s=60)
    await admission.admit("a")
    admission.set_door("queue")
    waiting = asyncio.ensure_future(admission.admit("b"))
    await settle()
    assert admission.num_waiting == 1
    admission.draining = True
    with pytest.raises(SessionRefused, match="is stopping"):
        await waiting
    admission.release("a")
    with pytest.raises(SessionRefused, match="is stopping"):
        await admission.admit("c")
    await admission.wait_empty()


async def test_under_load_a_session_enters_when_another_leaves_first_come_first_served() -> None:
    admission = Admission(4, max_waiting=2, waiting_s=60)
    await admission.admit("a")
    admission.set_door("queue")
    first = asyncio.ensure_future(admission.admit("b"))
    await settle()
    second = asyncio.ensure_future(admission.admit("c"))
    await settle()
    with pytest.raises(SessionRefused, match="overloaded: 1 calls are in progress, 2 wait"):
        await admission.admit("d")
    assert not first.done()
    admission.release("a")
    await first
    assert not second.done()
    assert len(admission) == 1
    admission.set_door("open")
    await second
    assert len(admission) == 2


async def test_closed_door_refuses_at_once_but_keeps_who_waits() -> None:
    admission = Admission(4, max_waiting=2, waiting_s=60)
    await admission.admit("a")
    admission.set_door("queue")
    waiting = asyncio.ensure_future(admission.admit("b"))
    await settle()
    admission.set_door("closed")
    with pytest.raises(SessionRefused):
        await admission.admit("c")
    admission.release("a")
    await settle()
    assert not waiting.done()
    admission.set_door("queue")
    admission.set_door("open")
    await waiting


async def test_who_waited_too_long_is_refused() -> None:
    admission = Admission(1, max_waiting=1, waiting_s=0.0)
    await admission.admit("a")
    admission.set_door("queue")
    with pytest.raises(SessionRefused):
        await admission.admit("b")
    assert admission.num_waiting == 0


async def test_caller_who_hangs_up_while_waiting_leaves_no_trace() -> None:
    admission = Admission(1, max_waiting=2, waiting_s=60)
    await admission.admit("a")
    admission.set_door("queue")
    gone = asyncio.ensure_future(admission.admit("b"))
    stays = asyncio.ensure_future(admission.admit("c"))
    await settle()
    gone.cancel()
    await settle()
    admission.release("a")
    await stays
    assert (len(admission), admission.num_waiting) == (1, 0)
    admission.release("c")
    await admission.wait_empty()


async def test_caller_who_hangs_up_as_his_turn_comes_passes_it_on() -> None:
    admission = Admission(1, max_waiting=2, waiting_s=60)
    await admission.admit("a")
    admission.set_door("queue")
    gone = asyncio.ensure_future(admission.admit("b"))
    stays = asyncio.ensure_future(admission.admit("c"))
    await settle()
    admission.release("a")
    gone.cancel()
    await stays
    assert len(admission) == 1


def test_retry_after_follows_how_fast_places_became_free() -> None:
    places = Places(10, 0, live={str(number) for number in range(10)})
    assert places.retry_after_s(0) == 5
    for number in range(5):
        places.release(str(number), 10.0 * number)
    assert places.retry_after_s(40) == pytest.approx(8)
    assert places.retry_after_s(290) == pytest.approx(58)
    assert places.retry_after_s(10_000) == 5
    for number in range(5, 10):
        places.release(str(number), 10_000.0)
    assert places.retry_after_s(10_000.1) == 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("offer"), st.integers(0, 9)),
            st.tuples(st.just("release"), st.integers(0, 9)),
            st.tuples(st.just("withdraw"), st.integers(0, 9)),
            st.tuples(st.just("door"), st.sampled_from(["open", "queue", "closed"])),
        ),
        max_size=100,
    )
)
def test_places_and_waiting_room_are_never_overfull_and_nobody_is_in_both(actions: list[tuple[str, object]]) -> None:
    places = Places(3, 2)
    for now, (action, value) in enumerate(actions):
        match action:
            case "offer" if str(value) not in places.live and str(value) not in places.waiting:
                verdict = places.offer(str(value), now)
                assert verdict in ("admitted", "waiting") or isinstance(verdict, Refusal)
            case "release":
                places.release(str(value), now)
            case "withdraw":
                places.withdraw(str(value))
            case "door":
                door: Door = value  # type: ignore[assignment]
                places.door = door
                places.let_in()
        assert len(places.live) <= 3
        assert len(places.waiting) <= 2
        assert not places.live & set(places.waiting)
        assert not (places.door == "open" and places.waiting and len(places.live) < 3)
