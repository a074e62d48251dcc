"""Fetch a file of a Hugging Face repository, or of its mirror, going on where an earlier run stopped."""

import os
import re
from typing import Final
from urllib.parse import quote, urlsplit

import httpx

from voicectl.core.errors import ConfigError
from voicectl.core.lockfile import HubFile
from voicectl.weights.progress import SourceUnavailable
from voicectl.weights.sink import Sink

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
ENDPOINT_VARIABLE: Final = "HF_ENDPOINT"
TIMEOUT: Final = httpx.Timeout(20.0, connect=10.0)
"""Seconds for each wait on the network; a whole file has no limit."""
ATTEMPTS: Final = 4
_MAX_REDIRECTS: Final = 5
_RETRY_WAIT_S: Final = 0.5
_TRY_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Hub:
    """Files at one endpoint. Only https is followed, unless the endpoint itself is plain http."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        retry_wait_s: float = _RETRY_WAIT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._endpoint = (endpoint or os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT).rstrip("/")
        self._retry_wait_s = retry_wait_s
        self._transport = transport
        scheme = urlsplit(self._endpoint).scheme
        if scheme not in {"http", "https"}:
            raise ConfigError(f"{ENDPOINT_VARIABLE}: {self._endpoint!r} is not an http or https address")
        self._schemes = {"https", scheme}

    def fetch(self, source: HubFile, sink: Sink) -> None:
        """Append what `sink` lacks. Raises SourceUnavailable after a few attempts."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                sink.stop.wait(self._retry_wait_s * 2 ** (attempt - 1))
            try:
                self._attempt(source, sink)
                return
            except (httpx.TransportError, httpx.DecodingError, _TryLater) as error:
                reason = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise SourceUnavailable(str(error)) from error
        raise SourceUnavailable(f"{reason} ({ATTEMPTS} attempts)")

    def _attempt(self, source: HubFile, sink: Sink) -> None:
        if sink.num_bytes == sink.pin.size:
            return
        url = f"{self._endpoint}/{source.repository}/resolve/{source.revision}/{quote(source.path)}"
        headers = {"Accept-Encoding": "identity"}
        if sink.num_bytes:
            headers["Range"] = f"bytes={sink.num_bytes}-"
        with (
            httpx.Client(
                timeout=TIMEOUT,
                transport=self._transport,
                follow_redirects=True,
                max_redirects=_MAX_REDIRECTS,
                event_hooks={"request": [self._refuse_other_schemes]},
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            self._accept(response, sink)
            for chunk in response.iter_bytes():
                sink.write(chunk)

    def _accept(self, response: httpx.Response, sink: Sink) -> None:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            sink.restart()
            raise _TryLater("the server has fewer bytes than an earlier run fetched")
        if response.status_code in _TRY_LATER:
            raise _TryLater(f"HTTP {response.status_code}")
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if not start or int(start[1]) != sink.num_bytes:
                sink.restart()
                raise _TryLater("the server sent another range than asked for")
        elif response.status_code == httpx.codes.OK:
            sink.restart()
        else:
            raise SourceUnavailable(f"HTTP {response.status_code} from {response.url.host}")

    def _refuse_other_schemes(self, request: httpx.Request) -> None:
        if request.url.scheme not in self._schemes:
            raise SourceUnavailable(f"redirected to {request.url.scheme}://{request.url.host}, which is not https")


class _TryLater(Exception):
    pass
