"""Tests of fetching from a hub, over a transport that is not the network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from voicectl.core.errors import ConfigError
from voicectl.core.lockfile import HubFile
from voicectl.weights.hub import ATTEMPTS, Hub
from voicectl.weights.progress import SourceUnavailable
from voicectl.weights.sink import Sink

CONTENT = b"0123456789"
FILE = HubFile("owner/repo", "abc123", "en/model 1.bin")
SinkFor = Callable[..., Sink]


def hub(answer: Callable[[httpx.Request], httpx.Response], endpoint: str = "https://hub.test") -> Hub:
    return Hub(endpoint, retry_wait_s=0, transport=httpx.MockTransport(answer))


def ranged(request: httpx.Request) -> httpx.Response:
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    headers = {"Content-Range": f"bytes {start}-9/10"}
    return httpx.Response(206 if start else 200, content=CONTENT[start:], headers=headers)


def test_the_address_names_repository_revision_and_path(sink_for: SinkFor) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return ranged(request)

    with sink_for(CONTENT) as sink:
        hub(answer).fetch(FILE, sink)
        sink.finish()
    assert asked == ["https://hub.test/owner/repo/resolve/abc123/en/model%201.bin"]


def test_a_partial_file_asks_only_for_the_rest(sink_for: SinkFor, tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(CONTENT[:6])
    ranges: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers["Range"])
        return ranged(request)

    with sink_for(CONTENT) as sink:
        hub(answer).fetch(FILE, sink)
        sink.finish()
    assert ranges == ["bytes=6-"]


def test_a_server_without_ranges_is_read_from_the_start(sink_for: SinkFor, tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(CONTENT[:6])
    with sink_for(CONTENT) as sink:
        hub(lambda request: httpx.Response(200, content=CONTENT)).fetch(FILE, sink)
        sink.finish()


def test_another_range_than_asked_for_starts_again(sink_for: SinkFor, tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(CONTENT[:6])

    def answer(request: httpx.Request) -> httpx.Response:
        if "Range" in request.headers:
            return httpx.Response(206, content=CONTENT[2:], headers={"Content-Range": "bytes 2-9/10"})
        return ranged(request)

    with sink_for(CONTENT) as sink:
        hub(answer).fetch(FILE, sink)
        sink.finish()


def test_a_broken_connection_is_resumed(sink_for: SinkFor) -> None:
    class Breaks(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield CONTENT[:4]
            raise httpx.ReadError("connection lost")

    ranges: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers.get("Range"))
        return httpx.Response(200, stream=Breaks()) if len(ranges) == 1 else ranged(request)

    with sink_for(CONTENT) as sink:
        hub(answer).fetch(FILE, sink)
        sink.finish()
    assert ranges == [None, "bytes=4-"]


@pytest.mark.parametrize(("status", "num_asked"), [(404, 1), (401, 1), (503, ATTEMPTS), (429, ATTEMPTS)])
def test_refusals_are_reasons_and_only_busy_servers_are_asked_again(
    status: int, num_asked: int, sink_for: SinkFor
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status)

    with sink_for(CONTENT) as sink, pytest.raises(SourceUnavailable, match=f"HTTP {status}"):
        hub(answer).fetch(FILE, sink)
    assert len(asked) == num_asked


def test_a_redirect_to_plain_http_is_refused(sink_for: SinkFor) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "http://elsewhere.test/x"})

    with sink_for(CONTENT) as sink, pytest.raises(SourceUnavailable, match="not https"):
        hub(answer).fetch(FILE, sink)


def test_a_plain_http_endpoint_is_followed_where_it_was_asked_for(sink_for: SinkFor) -> None:
    with sink_for(CONTENT) as sink:
        hub(ranged, endpoint="http://mirror.test/").fetch(FILE, sink)
        sink.finish()


def test_endless_redirects_are_refused(sink_for: SinkFor) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": str(request.url)})

    with sink_for(CONTENT) as sink, pytest.raises(SourceUnavailable, match="redirects"):
        hub(answer).fetch(FILE, sink)


def test_an_endpoint_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "ftp://hub.test")
    with pytest.raises(ConfigError, match="HF_ENDPOINT"):
        Hub()
