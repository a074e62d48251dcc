"""Pacing on a virtual clock, and the words that were heard."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.core.ports import WordMark
from voicectl.media.playout import HeardMap, Playout, PlayoutSchedule

RATE = 24_000
FRAME = 0.020


class VirtualClock:
    """Time that passes only where somebody sleeps. `late_s` is how much every sleep overshoots."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.at = 100.0
        self.late_s = late_s

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds + self.late_s
        await asyncio.sleep(0)


class Wire:
    """Collects frames with the time they were sent at."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.frames: list[tuple[float, int]] = []
        self.pcm = b""

    async def send(self, pcm: bytes) -> None:
        self.frames.append((self.clock.now() - 100.0, len(pcm)))
        self.pcm += pcm


def pcm(seconds: float, rate: int = RATE) -> bytes:
    return np.arange(round(seconds * rate), dtype="<i2").tobytes()


def playing(
    *,
    late_s: float = 0.0,
    lead_ms: int = 60,
    max_queued_s: float = 20.0,
    on_sent: Callable[[float], None] | None = None,
) -> tuple[Playout, Wire, VirtualClock]:
    clock = VirtualClock(late_s)
    wire = Wire(clock)
    playout = Playout(
        wire.send,
        output_rate=RATE,
        lead_ms=lead_ms,
        clock=clock,
        sleep=clock.sleep,
        max_queued_s=max_queued_s,
        on_sent=on_sent,
    )
    return playout, wire, clock


async def settle() -> None:
    """Let every task go as far as it can without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_frames_are_sent_by_their_deadlines_and_no_sooner() -> None:
    playout, wire, _ = playing()
    await playout.play(pcm(1.0), RATE)
    playout.release()
    playout.finish()
    await playout.run()
    assert wire.pcm == pcm(1.0)
    for index, (at, num_bytes) in enumerate(wire.frames):
        assert num_bytes == 960
        assert at == pytest.approx(max(0.0, index * FRAME - 0.060), abs=1e-9)


async def test_late_wakeups_do_not_add_up() -> None:
    playout, wire, _ = playing(late_s=0.005)
    await playout.play(pcm(4.0), RATE)
    playout.release()
    playout.finish()
    await playout.run()
    last_at, _ = wire.frames[-1]
    assert last_at == pytest.approx(199 * FRAME - 0.060, abs=0.006)


async def test_the_lateness_of_every_frame_is_told() -> None:
    late: list[float] = []
    playout, wire, _ = playing(late_s=0.005, on_sent=late.append)
    await playout.play(pcm(0.2), RATE)
    playout.release()
    playout.finish()
    await playout.run()
    assert len(late) == len(wire.frames) == 10
    waited = [seconds for seconds in late if seconds > 0]
    assert waited == pytest.approx([0.005] * len(waited))
    assert len(waited) == 6, "of ten frames, one is sent at once and three more within the lead of 60 ms"


async def test_a_frame_that_was_not_there_in_time_is_not_late_itself() -> None:
    late: list[float] = []
    playout, wire, clock = playing(on_sent=late.append)
    await playout.play(pcm(0.1), RATE)
    playout.release()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        await settle()
        clock.at += 2.0
        await playout.play(pcm(0.1), RATE)
        playout.finish()
    assert wire.frames[5][0] >= 2.0
    assert late == pytest.approx([0.0] * 10, abs=1e-9)


async def test_a_reply_that_begins_late_after_its_release_is_late() -> None:
    late: list[float] = []
    playout, _, clock = playing(on_sent=late.append)
    await playout.play(pcm(0.04), RATE)
    playout.release()
    playout.finish()
    clock.at += 0.3
    await playout.run()
    assert late == pytest.approx([0.3, 0.0], abs=1e-9)


async def test_nothing_is_sent_before_the_release_and_the_first_frame_at_once() -> None:
    playout, wire, clock = playing()
    await playout.play(pcm(0.5), RATE)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        await settle()
        assert wire.frames == []
        clock.at += 3.0
        playout.release()
        playout.finish()
    assert wire.frames[0][0] == pytest.approx(3.0)


async def test_a_stop_silences_within_a_frame_and_tells_what_was_heard() -> None:
    clock = VirtualClock()
    wire = Wire(clock)
    heard_s: list[float] = []

    async def send_until_one_second(frame: bytes) -> None:
        await wire.send(frame)
        if clock.now() >= 101.0:
            heard_s.append(playout.stop())

    playout = Playout(send_until_one_second, output_rate=RATE, lead_ms=40, clock=clock, sleep=clock.sleep)
    await playout.play(pcm(5.0), RATE)
    playout.release()
    await playout.run()
    await playout.drained()
    assert heard_s == [pytest.approx(1.0, abs=FRAME)]
    sent_s = len(wire.pcm) / 2 / RATE
    assert heard_s[0] <= sent_s <= heard_s[0] + 0.040 + FRAME


async def test_audio_that_comes_too_late_moves_the_schedule_without_a_burst() -> None:
    playout, wire, clock = playing()
    await playout.play(pcm(0.1), RATE)
    playout.release()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        await settle()
        clock.at = 102.0
        assert playout.heard_s() == pytest.approx(0.1)
        await playout.play(pcm(1.0), RATE)
        playout.finish()
    times = [at for at, _ in wire.frames]
    assert sum(at <= 2.0 + 1e-9 for at in times) == 5 + 1 + 3
    assert times[-1] == pytest.approx(2.0 + 1.0 - FRAME - 0.060)
    assert playout.heard_s() == pytest.approx(1.1)


async def test_drained_waits_until_the_last_sample_was_played() -> None:
    playout, _, clock = playing()
    await playout.play(pcm(0.5), RATE)
    playout.release()
    playout.finish()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        await playout.drained()
        assert clock.now() >= 100.5 - 1e-9


async def test_a_reply_without_audio_is_drained_once_it_is_finished() -> None:
    playout, wire, _ = playing()
    playout.release()
    playout.finish()
    await playout.run()
    await playout.drained()
    assert wire.frames == []
    assert playout.heard_s() == 0.0


async def test_another_rate_is_resampled_to_its_last_sample() -> None:
    playout, wire, _ = playing()
    for piece in range(10):
        await playout.play(pcm(0.1, 22_050)[:-2] if piece == 9 else pcm(0.1, 22_050), 22_050)
    assert playout.audio_s > 0.99
    playout.release()
    playout.finish()
    await playout.run()
    assert len(wire.pcm) / 2 == pytest.approx(RATE, abs=4)


async def test_a_full_queue_makes_the_speaker_wait_until_frames_are_sent() -> None:
    playout, wire, _ = playing(max_queued_s=0.2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        speaking = tasks.create_task(speak(playout, 10))
        await settle()
        assert not speaking.done()
        assert playout.audio_s == pytest.approx(0.2)
        playout.release()
    assert len(wire.pcm) == len(pcm(1.0))


async def speak(playout: Playout, num_pieces: int) -> None:
    for _ in range(num_pieces):
        await playout.play(pcm(0.1), RATE)
    playout.finish()


async def test_a_stop_frees_who_waits_for_room() -> None:
    playout, wire, _ = playing(max_queued_s=0.2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        tasks.create_task(speak(playout, 10))
        await settle()
        assert playout.stop() == 0.0
    assert wire.frames == []


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 0.5)), max_size=30), st.floats(0, 0.2))
def test_heard_never_exceeds_sent_and_never_shrinks(steps: list[tuple[float, float]], lead_s: float) -> None:
    schedule, now, heard = PlayoutSchedule(lead_s), 0.0, 0.0
    for pause_s, duration_s in steps:
        now += pause_s
        schedule.note_sent(duration_s, max(now, schedule.due_at(now)))
        now = max(now, schedule.due_at(now))
        assert heard - 1e-9 <= schedule.heard_s(now) <= schedule.sent_s + 1e-9
        heard = schedule.heard_s(now)
    assert schedule.heard_s(schedule.ends_at(now)) == pytest.approx(schedule.sent_s)


async def test_a_held_reply_sends_nothing_and_goes_on_with_the_next_sample() -> None:
    playout, wire, clock = playing()
    await playout.play(pcm(1.0), RATE)
    playout.release()
    playout.finish()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(playout.run())
        while clock.now() < 100.4:
            await asyncio.sleep(0)
        playout.hold()
        num_frames = len(wire.frames)
        await settle()
        clock.at += 3.0
        await settle()
        assert (len(wire.frames), running.done()) == (num_frames, False)
        assert playout.heard_s() == pytest.approx(num_frames * FRAME), "all that was sent, and no more"
        resumed_at = clock.now() - 100.0
        playout.resume()
    assert wire.pcm == pcm(1.0)
    times = [at for at, _ in wire.frames]
    assert times[num_frames] == pytest.approx(resumed_at)
    assert sum(at <= resumed_at + 1e-9 for at in times[num_frames:]) == 1 + 3, "no burst but the lead"
    assert times[-1] == pytest.approx(resumed_at + 1.0 - (num_frames + 1) * FRAME - 0.060)


async def test_a_hold_that_is_shorter_than_the_lead_leaves_no_gap() -> None:
    late: list[float] = []
    playout, wire, clock = playing(on_sent=late.append)
    await playout.play(pcm(1.0), RATE)
    playout.release()
    playout.finish()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        while clock.now() < 100.4:
            await asyncio.sleep(0)
        playout.hold()
        await settle()
        clock.at += 0.030
        playout.resume()
    times = [at for at, _ in wire.frames]
    assert times[-1] == pytest.approx(1.0 - FRAME - 0.060), "the schedule is the one without a hold"
    assert all(at <= index * FRAME + 1e-9 for index, at in enumerate(times)), "no frame came after it was due to sound"
    assert late == pytest.approx([0.0] * 50, abs=1e-9), "that a frame was held does not make it late"


async def test_a_held_reply_can_be_stopped_and_was_heard_up_to_the_hold() -> None:
    playout, wire, clock = playing()
    await playout.play(pcm(1.0), RATE)
    playout.release()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        while clock.now() < 100.4:
            await asyncio.sleep(0)
        playout.hold()
        await settle()
        clock.at += 1.0
        assert playout.stop() == pytest.approx(len(wire.pcm) / 2 / RATE)
        playout.resume()
    assert len(wire.pcm) < len(pcm(1.0))


async def test_a_reply_that_is_held_after_its_last_frame_ends() -> None:
    playout, wire, clock = playing()
    await playout.play(pcm(0.04), RATE)
    playout.release()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(playout.run())
        await settle()
        playout.hold()
        playout.finish()
        await playout.drained()
    assert wire.pcm == pcm(0.04)
    assert clock.now() >= 100.04 - 1e-9


class HoldPlan:
    """Holds and resumes a reply at given moments: after so many steps of the loop, for so long."""

    def __init__(self, playout: Playout, wire: Wire, clock: VirtualClock) -> None:
        self.playout, self.wire, self.clock = playout, wire, clock
        self.heard_s = 0.0

    def check(self) -> None:
        heard_s, sent_s = self.playout.heard_s(), len(self.wire.pcm) / 2 / RATE
        assert self.heard_s - 1e-9 <= heard_s <= sent_s + 1e-9
        self.heard_s = heard_s

    async def carry_out(self, holds: list[tuple[int, float]]) -> None:
        for num_steps, seconds in holds:
            for _ in range(num_steps):
                await asyncio.sleep(0)
                self.check()
            self.playout.hold()
            num_frames = len(self.wire.frames)
            await settle()
            self.clock.at += seconds
            await settle()
            assert len(self.wire.frames) == num_frames
            self.check()
            self.playout.resume()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.4)), max_size=8), st.sampled_from([0, 20, 60, 200]))
def test_no_sample_is_lost_or_doubled_however_a_reply_is_held(holds: list[tuple[int, float]], lead_ms: int) -> None:
    async def play() -> None:
        playout, wire, clock = playing(lead_ms=lead_ms, max_queued_s=0.3)
        plan = HoldPlan(playout, wire, clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(playout.run())
            tasks.create_task(speak(playout, 8))
            playout.release()
            await plan.carry_out(holds)
            await playout.drained()
        assert wire.pcm == pcm(0.1) * 8
        assert playout.heard_s() == pytest.approx(0.8)

    asyncio.run(play())


def marks(text: str, seconds_a_word: float = 0.5) -> list[WordMark]:
    result, position = [], 0
    for index, word in enumerate(word for word in text.split() if word.strip(".,!?")):
        start = text.index(word, position)
        position = start + len(word)
        end = start + len(word.rstrip(".,!?"))
        result.append(WordMark(start, end, index * seconds_a_word, (index + 1) * seconds_a_word))
    return result


def test_a_word_counts_as_heard_from_its_middle_on() -> None:
    words = HeardMap()
    words.add("Sure, I can do that.", marks("Sure, I can do that."), 0.0)
    assert words.heard(0.2) == ""
    assert words.heard(0.25) == "Sure"
    assert words.heard(1.2) == "Sure, I"
    assert words.heard(1.25) == "Sure, I can"
    assert words.heard(2.3) == "Sure, I can do that."


def test_clauses_follow_each_other() -> None:
    words = HeardMap()
    words.add("Of course.", marks("Of course."), 0.0)
    words.add("What else?", marks("What else?"), 1.2)
    assert words.heard(1.3) == "Of course."
    assert words.heard(1.5) == "Of course. What"
    assert words.heard(9.0) == "Of course. What else?"


def test_marks_of_a_clause_may_come_in_pieces() -> None:
    words, text = HeardMap(), "Sure, I can do that."
    first, *rest = marks(text)
    words.add(text, [first], 0.0)
    assert words.heard(9.0) == "Sure"
    words.add(text, rest, 0.0)
    assert words.heard(9.0) == text


def test_without_marks_words_are_spread_over_the_audio() -> None:
    words = HeardMap()
    words.add("One two three four.", (), 0.0, 1.0)
    words.add("One two three four.", (), 0.0, 1.0)
    assert words.heard(0.0) == ""
    assert words.heard(1.0) == "One two"
    assert words.heard(2.0) == "One two three four."


@given(st.lists(st.text("ab ,.", min_size=1, max_size=30), max_size=5), st.floats(0, 20), st.floats(0, 5))
def test_more_time_never_takes_words_back(clauses: list[str], heard_s: float, more_s: float) -> None:
    words, offset_s = HeardMap(), 0.0
    for clause in clauses:
        words.add(clause, marks(clause), offset_s)
        offset_s += 0.5 * len(clause.split())
    assert words.heard(heard_s + more_s).startswith(words.heard(heard_s))
    full = "".join("".join(clauses).split())
    assert full.startswith("".join(words.heard(heard_s).split()))


def test_heard_text_keeps_the_line_breaks_of_the_reply() -> None:
    words = HeardMap()
    words.add("One,\n\n", marks("One,"), 0.0)
    words.add("two.", marks("two."), 0.5)
    assert words.heard(9.0) == "One,\n\ntwo."
