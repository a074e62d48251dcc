"""The gateway's HTTP application: puts access, the Realtime WebSocket, REST and health together."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import WebSocketRoute

import voicectl
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.profile import Profile
from voicectl.service.access.control import AccessControl
from voicectl.service.access.middleware import AccessMiddleware, OriginHeaders
from voicectl.service.gateway import Gateway
from voicectl.service.http.bodies import BodyLimits
from voicectl.service.http.health import MetricsPage, health_routes
from voicectl.service.http.realtime import RealtimeEndpoint
from voicectl.service.load.admission import Admission
from voicectl.service.rest.chat import chat_routes
from voicectl.service.rest.errors import install_error_handlers
from voicectl.service.rest.models import model_routes
from voicectl.service.rest.speech import speech_routes
from voicectl.service.rest.transcriptions import transcription_routes
from voicectl.service.rest.work import WorkSlots

__all__ = ["Gateway", "GatewayApp", "create_app"]

REALTIME_PATH: Final = "/v1/realtime"
UPLOAD_PATH: Final = "/v1/audio/transcriptions"
_DESCRIPTION: Final = (
    "Speech, text and whole conversations in the shapes of the OpenAI interface. Live calls go over the "
    "WebSocket at /v1/realtime, which OpenAPI cannot describe."
)


class GatewayApp(FastAPI):
    """The ASGI application, with what its server must know: the live calls, the rules and the limits."""

    def __init__(self, profile: Profile, admission: Admission, access: AccessControl, realtime: RealtimeEndpoint):
        super().__init__(
            title="voicectl",
            version=voicectl.__version__,
            description=_DESCRIPTION,
            # The pages that would show the document load their scripts from the internet.
            docs_url=None,
            redoc_url=None,
        )
        self.profile: Final = profile
        self.admission: Final = admission
        self.access: Final = access
        self.realtime: Final = realtime

    async def watch_access(self) -> None:
        """Follow the file of keys until cancelled; calls of a revoked key end."""
        await self.access.watch(lambda: self.realtime.seats.end_of(self.access.is_revoked))

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            self.openapi_schema = _with_true_failures(document)
        return self.openapi_schema


def create_app(
    gateway: Gateway,
    profile: Profile,
    *,
    clock: Clock | None = None,
    admission: Admission | None = None,
    access: AccessControl | None = None,
    metrics: MetricsPage | None = None,
) -> GatewayApp:
    """Return the application that serves `gateway`.

    `clock` is the session clock of its calls. `admission` and `access` are made from the profile where they
    are not given. `metrics` returns the page of `/metrics`, which does not exist without it. Raises
    ConfigError when the profile's keys cannot be used, or when anybody on the network could use the gateway.
    """
    admission = admission or Admission(profile.server.max_sessions)
    access = access or AccessControl.of(profile)
    realtime = RealtimeEndpoint(gateway, profile, admission, access, clock or MonotonicClock())
    app = GatewayApp(profile, admission, access, realtime)
    slots = WorkSlots(gateway, admission, profile.server.max_requests)
    for router in (
        model_routes(profile),
        chat_routes(gateway, slots),
        speech_routes(gateway, slots),
        transcription_routes(gateway, slots),
        health_routes(gateway, admission, metrics),
    ):
        app.include_router(router)
    app.router.routes.append(WebSocketRoute(REALTIME_PATH, realtime.serve))
    install_error_handlers(app)
    server = profile.server
    # From the inside out: a body is read after its sender is known, and pages of other origins may read denials.
    app.add_middleware(
        BodyLimits,
        max_bytes=server.max_body_bytes,
        max_bytes_at={UPLOAD_PATH: server.max_upload_bytes},
        arrival_s=server.upload_s,
    )
    app.add_middleware(AccessMiddleware, control=access)
    app.add_middleware(OriginHeaders, control=access)
    return app


def _with_true_failures(document: dict[str, Any]) -> dict[str, Any]:
    """Take out the 422 that FastAPI announces everywhere: requests that cannot be meant get 400 here."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    schemas = document.get("components", {}).get("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
