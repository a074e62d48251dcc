import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.errors import EngineError
from voicectl.engine.simplevoice import chunks_of, read_wav, spread_marks


def wav(pcm: bytes, *, size: int = 0x7FFFF000, channels: int = 1, extra: bytes = b"") -> bytes:
    head = struct.pack("<4sI4s", b"RIFF", 0x7FFFFFFF, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 22050, 44100, 2, 16)
    return head + form + extra + struct.pack("<4sI", b"data", size) + pcm


def test_wav_of_unknown_length_is_read_to_its_end() -> None:
    assert read_wav(wav(b"\1\0" * 10 + b"\7")) == (b"\1\0" * 10, 22050)


def test_other_chunks_are_skipped_and_a_known_length_holds() -> None:
    document = wav(b"\1\0" * 10, size=8, extra=struct.pack("<4sI", b"LIST", 3) + b"abc\0")
    assert read_wav(document) == (b"\1\0" * 4, 22050)


@pytest.mark.parametrize("document", [b"", b"RIFF", b"hello, this is no sound", wav(b""), wav(b"\1\0", channels=2)])
def test_what_is_no_speech_is_refused(document: bytes) -> None:
    with pytest.raises(EngineError, match="the simple voice"):
        read_wav(document)


@given(st.binary(max_size=100))
def test_any_bytes_are_speech_or_an_error(document: bytes) -> None:
    try:
        read_wav(document)
    except EngineError:
        return


def test_words_are_spread_over_the_sound_and_come_with_the_piece_they_begin_in() -> None:
    text = "one two three"
    pcm = b"\1\0" * 13_000
    chunks = list(chunks_of(text, pcm, 10_000))
    assert b"".join(chunk.pcm for chunk in chunks) == pcm
    marks = [mark for chunk in chunks for mark in chunk.marks]
    assert marks == spread_marks(text, 1.3)
    assert [(text[mark.start : mark.end], round(mark.start_s, 3)) for mark in marks] == [
        ("one", 0.0),
        ("two", 0.4),
        ("three", 0.8),
    ]
    assert [mark.start for mark in chunks[0].marks] == [0]
