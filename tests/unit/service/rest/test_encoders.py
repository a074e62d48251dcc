"""Files of speech, pushed piece by piece."""

import io
import wave

import av
import pytest

from tests.fakes.conversation import tone
from voicectl.service.rest.encoders import RATE_HZ, SpeechFile, SpeechFormat


def made(wanted: SpeechFormat, num_pieces: int = 10) -> list[bytes]:
    file = SpeechFile(wanted)
    return [*(file.push(tone(0.1, 22_050), 22_050) for _ in range(num_pieces)), file.finish()]


@pytest.mark.parametrize("wanted", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_file_can_be_read_again_and_lasts_as_long(wanted: SpeechFormat) -> None:
    with av.open(io.BytesIO(b"".join(made(wanted)))) as file:
        track = file.streams.audio[0]
        seconds = sum(frame.samples for frame in file.decode(track)) / track.rate
    assert seconds == pytest.approx(1.0, abs=0.08)


def test_raw_speech_is_the_samples_alone() -> None:
    assert len(b"".join(made("pcm"))) == pytest.approx(2 * RATE_HZ, abs=8)


def test_the_first_piece_of_a_wav_file_plays_before_the_last_is_made() -> None:
    first = made("wav")[0]
    with wave.open(io.BytesIO(first)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
    assert len(first) > 0.09 * 2 * RATE_HZ


@pytest.mark.parametrize("wanted", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_a_file_without_sound_can_be_finished(wanted: SpeechFormat) -> None:
    SpeechFile(wanted).finish()
