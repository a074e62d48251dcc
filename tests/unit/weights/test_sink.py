"""Tests of partial downloads."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from voicectl.core.errors import ChecksumMismatch, IntegrityError
from voicectl.weights.progress import PullStopped
from voicectl.weights.sink import Sink

CONTENT = b"0123456789"
SinkFor = Callable[..., Sink]


def test_complete_bytes_pass(sink_for: SinkFor) -> None:
    with sink_for(CONTENT) as sink:
        sink.write(CONTENT[:4])
        sink.write(CONTENT[4:])
        sink.finish()
        assert sink.path.read_bytes() == CONTENT


def test_bytes_of_an_earlier_run_count(sink_for: SinkFor, tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(CONTENT[:7])
    with sink_for(CONTENT) as sink:
        assert sink.num_bytes == 7
        sink.write(CONTENT[7:])
        sink.finish()


def test_a_longer_earlier_run_is_forgotten(sink_for: SinkFor, tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(CONTENT * 2)
    with sink_for(CONTENT) as sink:
        assert sink.num_bytes == 0
        assert sink.path.stat().st_size == 0


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], b"0123456780"])
def test_wrong_or_truncated_bytes_are_refused_and_forgotten(sink_for: SinkFor, content: bytes) -> None:
    with sink_for(CONTENT) as sink:
        sink.write(content)
        with pytest.raises(
            ChecksumMismatch, match=r"tiny/model\.bin: sha256 is .* models.lock says 84d89877"
        ) as caught:
            sink.finish()
        assert caught.value.exit_code == 4
        assert sink.path.stat().st_size == 0


def test_a_sink_never_outgrows_its_pin(sink_for: SinkFor) -> None:
    with sink_for(CONTENT) as sink:
        sink.write(CONTENT)
        with pytest.raises(IntegrityError, match="more than the 10 bytes"):
            sink.write(b"!")
        assert sink.path.stat().st_size == 0


def test_a_stopped_pull_keeps_its_bytes(sink_for: SinkFor) -> None:
    stop = threading.Event()
    with sink_for(CONTENT, stop) as sink:
        sink.write(CONTENT[:4])
        stop.set()
        with pytest.raises(PullStopped):
            sink.write(CONTENT[4:])
    assert sink.path.read_bytes() == CONTENT[:4]
