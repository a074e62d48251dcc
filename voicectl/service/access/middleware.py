"""Ask every request who sends it before any of its body is read. Knows which path needs which scope."""

from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from voicectl.core.sections import access as settings
from voicectl.service.access.control import OPERATOR_SCOPE, AccessControl, Principal
from voicectl.service.access.credentials import presented_key
from voicectl.service.access.denial import Denial
from voicectl.service.http.problem import problem_response

log = structlog.get_logger(__name__)

SCOPES: Final[dict[str, settings.Scope]] = {
    "/v1/realtime": "realtime",
    "/v1/audio/transcriptions": "transcribe",
    "/v1/audio/speech": "speak",
    "/v1/chat/completions": "chat",
    "/v1/models": "models",
    "/readyz": OPERATOR_SCOPE,
    "/metrics": OPERATOR_SCOPE,
}
PRINCIPAL: Final = "principal"


def scope_of(path: str) -> settings.Scope | None:
    """Return what a key needs for a path; None where nobody is asked. What is new below /v1 is closed."""
    for known, scope in SCOPES.items():
        if path == known or path.startswith(f"{known}/"):
            return scope
    return "admin" if path.startswith("/v1/") else None


class AccessMiddleware:
    """Lets a request pass with its `Principal` in the ASGI state, or answers why not."""

    def __init__(self, app: ASGIApp, control: AccessControl) -> None:
        self._app = app
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or upgrade."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})[PRINCIPAL] = self._admitted(scope)
        except Denial as denial:
            log.warning("request_denied", path=scope["path"], status=denial.status, code=denial.code)
            await deny(denial, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admitted(self, scope: Scope) -> Principal:
        control, headers = self._control, Headers(scope=scope)
        control.check_origin(headers.get("origin"), headers.get("host"))
        needed = scope_of(scope["path"])
        if needed is None or control.is_open(needed):
            return Principal()
        presented = presented_key(headers.get("authorization"), headers.get("api-key"), scope.get("subprotocols") or ())
        principal = control.identify(presented)
        control.require(principal, needed)
        control.count(principal)
        return principal


async def deny(denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or an upgrade that has not happened."""
    response = problem_response(denial)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


class OriginHeaders(CORSMiddleware):
    """CORS for the origins that the access control knows."""

    def __init__(self, app: ASGIApp, control: AccessControl) -> None:
        super().__init__(
            app,
            allow_methods=("GET", "POST"),
            # Without cookies a header gives a page no power that it has not; stock clients send a dozen of their own.
            allow_headers=("*",),
            expose_headers=("retry-after",),
        )
        self._control = control

    def is_allowed_origin(self, origin: str) -> bool:
        """Return whether pages of an origin may read answers."""
        return self._control.may_read(origin)
