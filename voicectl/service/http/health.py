"""`/healthz`, `/readyz` and `/metrics`: what probes and monitoring ask. Knows no model."""

from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from voicectl.service.gateway import Gateway
from voicectl.service.load.admission import Admission
from voicectl.service.rest.errors import responses

MetricsPage = Callable[[], Awaitable[tuple[bytes, str]]]
"""Returns the metrics of this instant and their content type."""


class Alive(BaseModel):
    """The process serves requests."""

    status: Literal["alive"] = "alive"


class SessionCount(BaseModel):
    """How many calls are in progress, and how many may be."""

    live: int
    max: int


class Readiness(BaseModel):
    """Whether calls can be served, and why not."""

    ready: bool
    draining: bool
    stages: dict[str, str] = Field(description="State of each stage of the engine.")
    sessions: SessionCount


def health_routes(gateway: Gateway, admission: Admission, metrics: MetricsPage | None) -> APIRouter:
    """Return the routes of a gateway; `/metrics` only where there are some."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> Alive:
        return Alive()

    @router.get(
        "/readyz",
        summary="Whether calls can be served",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Calls cannot be served now."}, **responses(401, 403, 429)},
    )
    async def readyz() -> JSONResponse:
        ready = gateway.ready() and not admission.draining
        state = Readiness(
            ready=ready,
            draining=admission.draining,
            stages=dict(gateway.stages()),
            sessions=SessionCount(live=len(admission), max=admission.max_sessions),
        )
        return JSONResponse(state.model_dump(), status_code=200 if ready else 503)

    if metrics is not None:
        page = metrics

        @router.get(
            "/metrics",
            summary="Prometheus metrics",
            response_class=Response,
            responses={200: {"content": {"text/plain": {}}}, **responses(401, 403, 429)},
        )
        async def metrics_page() -> Response:
            body, content_type = await page()
            return Response(body, media_type=content_type)

    return router
