"""How the service of a release is reached and how long its steps may take: `system/service.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .faults import Refused

FILE_NAME: Final = "service.json"
UNIT: Final = "voicectl.service"
GATE_TEMPLATE: Final = "voicectl-gate@.service"
_MAX_BYTES: Final = 100_000


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The settings of one release's service. `max_v2v_ms` overrides the golden call's own bound."""

    url: str = "http://127.0.0.1:8080"
    gate_port: int = 18080
    ready_s: float = 120.0
    call_s: float = 60.0
    max_v2v_ms: float | None = None
    ca_file: str | None = None
    user: str = "voicectl"

    @property
    def gate_url(self) -> str:
        """Return where the candidate answers before the switch: loopback, spare port, no TLS."""
        return f"http://127.0.0.1:{self.gate_port}"


def read_settings(folder: Path) -> ServiceSettings:
    """Return the settings in a folder, the defaults where there are none. Raises Refused for what cannot be meant."""
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return ServiceSettings()
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: {error}", hint=_HINT) from error
    if not isinstance(document, dict):
        raise Refused(f"{path}: holds no settings", hint=_HINT)
    try:
        return _settings(document)
    except ValueError as error:
        raise Refused(f"{path}: {error}", hint=_HINT) from error


_HINT: Final = "run the installation again: it writes this file anew"


def _settings(document: Mapping[str, Any]) -> ServiceSettings:
    default = ServiceSettings()
    url = _typed(document, "url", str, default.url)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"url {url!r} is no address of a gateway")
    gate_port = _typed(document, "gate_port", int, default.gate_port)
    if not 0 < gate_port < 65536:
        raise ValueError(f"gate_port {gate_port} is no port")
    max_v2v_ms = document.get("max_v2v_ms")
    return ServiceSettings(
        url=url.rstrip("/"),
        gate_port=gate_port,
        ready_s=_seconds(document, "ready_s", default.ready_s),
        call_s=_seconds(document, "call_s", default.call_s),
        max_v2v_ms=None if max_v2v_ms is None else _seconds(document, "max_v2v_ms", 0.0),
        ca_file=None if document.get("ca_file") is None else _typed(document, "ca_file", str, ""),
        user=_typed(document, "user", str, default.user),
    )


def _typed(document: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = document.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}")
    return value


def _seconds(document: Mapping[str, Any], key: str, default: float) -> float:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{key} is {value!r}, and must be a number above 0")
    return float(value)
