"""Make one golden call to a gateway, as its clients do: over the wire, with the release's own client and a key."""

import json
import os
import secrets
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .faults import Refused, TaskFailed, UseCaseClosed
from .golden import Observation
from .layout import WRITABLE_BY_OTHERS
from .running import run_program, user_id
from .settings import ServiceSettings
from .sound import Sound, agent_side

MAX_ANSWER_BYTES: Final = 1_000_000
CLOSED_CODES: Final = ("use_case_demoted", "use_case_not_promoted")
"""Refusals that somebody decided; that nothing is open because a file cannot be read is none of them."""
_KEY_READABLE: Final = 0o077 & ~WRITABLE_BY_OTHERS
_MIN_SAMPLES: Final = 2400
MAX_REPLY_TOKENS: Final = 10
"""Some two seconds of speech: enough to be judged by, and nobody waits for the rest of a long answer."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a gateway is called: its address, the folder of the release whose client calls, and the API key."""

    url: str
    release: Path
    settings: ServiceSettings
    key: str | None


def read_key(path: Path) -> str | None:
    """Return the API key of the golden call, None when there is none. Raises Refused when others could read it."""
    try:
        status = path.lstat()
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: {error}", hint="delete it and run the installation again") from error
    if status.st_mode & (_KEY_READABLE | WRITABLE_BY_OTHERS) or path.is_symlink():
        raise Refused(f"{path}: others than its owner can use this key", hint=f"chmod 600 {path}")
    return key or None


def make_call(line: Line) -> Observation:
    """Ask the golden question and let the gateway transcribe its own answer. Raises TaskFailed."""
    with _workplace(line.settings.user) as folder:
        record = folder / "call.wav"
        turn = _talk(line, folder, record)
        side = agent_side(record).voiced()
        rms = side.rms
        return Observation(
            heard=str(turn.get("heard") or ""),
            reply=str(turn.get("reply") or ""),
            v2v_ms=turn.get("v2v_ms"),
            reply_rms=rms,
            reply_heard=_transcribe(line, side) if len(side.samples) >= _MIN_SAMPLES else "",
        )


@contextmanager
def _workplace(user: str) -> Iterator[Path]:
    """Yield an empty folder for the client, which does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="voicectl-golden-"))
    try:
        if (ids := user_id(user)) is not None:
            os.chown(folder, *ids)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _talk(line: Line, folder: Path, record: Path) -> Mapping[str, Any]:
    client = line.release / "venv/bin/voicectl"
    question = line.release / "golden/golden.wav"
    environment = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if line.key is not None:
        environment["VOICECTL_API_KEY"] = line.key
    if line.settings.ca_file is not None:
        environment["SSL_CERT_FILE"] = line.settings.ca_file
    done = run_program(
        [
            *(client, "talk", "--server", line.url, "--wav", question, "--out", record),
            *("--max-reply-tokens", str(MAX_REPLY_TOKENS), "--probe", "--json"),
        ],
        timeout_s=line.settings.call_s,
        environment=environment,
        user=line.settings.user,
    )
    if done.code is None:
        raise TaskFailed(f"the golden call did not end within {line.settings.call_s:.0f} s")
    try:
        document = json.loads(done.out)
        if done.ok:
            turn = document["turns"][0]
            if isinstance(turn, dict):
                return turn
        reason = document["error"]["message"]
    except (ValueError, KeyError, TypeError, IndexError):
        reason = done.error or f"its client ended with {done.code}"
    kind = UseCaseClosed if any(f" {code}: " in reason for code in CLOSED_CODES) else TaskFailed
    raise kind(f"the golden call failed: {reason}")


def _transcribe(line: Line, side: Sound) -> str:
    boundary = secrets.token_hex(16)
    request = urllib.request.Request(  # noqa: S310 - http and https only, see ServiceSettings
        f"{line.url}/v1/audio/transcriptions",
        data=_form(boundary, side.wav()),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        method="POST",
    )
    if line.key is not None:
        request.add_header("Authorization", f"Bearer {line.key}")
    try:
        with _opener(line.settings).open(request, timeout=line.settings.call_s) as answer:
            return str(json.loads(answer.read(MAX_ANSWER_BYTES))["text"])
    except urllib.error.HTTPError as error:
        raise TaskFailed(f"the answer could not be transcribed: HTTP {error.code} {error.reason}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskFailed(f"the answer could not be transcribed: {error}") from error


def _opener(settings: ServiceSettings) -> urllib.request.OpenerDirector:
    """Return a client that knows no proxies and follows no redirects."""
    context = ssl.create_default_context(cafile=settings.ca_file)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _StayHere()
    )


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _form(boundary: str, wav: bytes) -> bytes:
    fields = (
        b'Content-Disposition: form-data; name="model"\r\n\r\nvoicectl',
        b'Content-Disposition: form-data; name="file"; filename="reply.wav"\r\nContent-Type: audio/wav\r\n\r\n' + wav,
    )
    dashes = b"--" + boundary.encode()
    return b"".join(dashes + b"\r\n" + field + b"\r\n" for field in fields) + dashes + b"--\r\n"
