"""Frames and when they leave: words keep the instant they were meant for, however late a process is."""

import base64
import json

import numpy as np
import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from voicectl.bench.generator.frames import FRAME_BYTES, FrameBank, Timeline, wire_frames
from voicectl.bench.workload.ready import ReadyWorkload, Sound


def decoded(frame: bytes) -> bytes:
    reader = StreamReader()
    reader.feed_data(frame)
    parsing = Frame.parse(reader.read_exact, mask=True)
    try:
        next(parsing)
    except StopIteration as done:
        event = json.loads(done.value.data)
    assert event["type"] == "input_audio_buffer.append"
    return base64.b64decode(event["audio"])


def test_sound_becomes_frames_of_20_ms_that_a_server_can_read() -> None:
    pcm = np.arange(1_000, dtype="<i2").tobytes()
    frames = wire_frames(pcm)
    assert len(frames) == 3
    assert b"".join(map(decoded, frames)) == pcm.ljust(3 * FRAME_BYTES, b"\0")


def test_bank_has_silence_in_between_or_the_backdrop() -> None:
    quiet = ReadyWorkload("mine", "", (), (Sound(b"\1\0" * 480, None, None),))
    assert [decoded(frame) for frame in FrameBank.of(quiet).between] == [bytes(FRAME_BYTES)]
    noisy = ReadyWorkload("mine", "", (), (), backdrop=b"\1\0" * 960)
    assert [decoded(frame) for frame in FrameBank.of(noisy).between] == [b"\1\0" * 480] * 2


def sent(timeline: Timeline, count: int) -> list[bytes]:
    return [timeline.take() for _ in range(count)]


def test_frame_leaves_when_it_is_complete() -> None:
    timeline = Timeline((b".",), origin_at=100.0)
    assert timeline.next_due_at == pytest.approx(100.02)
    timeline.take()
    assert timeline.next_due_at == pytest.approx(100.04)


def test_words_leave_with_the_frame_of_their_instant() -> None:
    timeline = Timeline((b".",), origin_at=100.0)
    assert timeline.place((b"a", b"b"), 100.06) == pytest.approx(100.06)
    assert sent(timeline, 6) == [b".", b".", b".", b"a", b"b", b"."]


def test_instant_between_two_frames_waits_for_the_next() -> None:
    assert Timeline((b".",), origin_at=100.0).place((b"a",), 100.061) == pytest.approx(100.08)


def test_process_that_fell_behind_catches_up_and_the_words_keep_their_instant() -> None:
    timeline = Timeline((b".",), origin_at=100.0)
    began_at = timeline.place((b"a",), 100.1)
    # Half a second passes without a frame; then all that were due leave at once.
    assert sent(timeline, 25)[5] == b"a"
    assert began_at == pytest.approx(100.1)


def test_words_that_come_too_late_leave_at_once() -> None:
    timeline = Timeline((b".",), origin_at=100.0)
    sent(timeline, 10)
    assert timeline.place((b"a",), 100.0) == pytest.approx(100.2)
    assert timeline.take() == b"a"


def test_words_wait_for_those_before_them() -> None:
    timeline = Timeline((b".",), origin_at=100.0)
    timeline.place((b"a", b"b"), 100.0)
    assert timeline.place((b"c",), 100.0) == pytest.approx(100.04)
    assert sent(timeline, 4) == [b"a", b"b", b"c", b"."]


def test_backdrop_goes_on_under_its_own_count_from_its_offset() -> None:
    timeline = Timeline((b"0", b"1", b"2"), offset=2)
    timeline.place((b"a",), 0.02)
    assert sent(timeline, 4) == [b"2", b"a", b"1", b"2"]


def test_position_is_that_of_the_stream() -> None:
    assert Timeline((b".",), origin_at=100.0).position_s(101.5) == 1.5
