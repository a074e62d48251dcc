"""`GET /v1/models`: which models the profile runs."""

import time
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from voicectl.core.profile import Profile
from voicectl.service.http.problem import not_found
from voicectl.service.rest.errors import responses

OWNER = "voicectl"


class Model(BaseModel):
    """A model by its name in models.lock."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When the gateway started, seconds since the epoch.")
    owned_by: str = OWNER


class ModelList(BaseModel):
    """All models that clients can use."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_routes(profile: Profile) -> APIRouter:
    """Return the routes of models."""
    router = APIRouter(tags=["models"])
    created = int(time.time())
    names = dict.fromkeys((profile.models.llm, profile.models.stt, profile.models.tts))

    @router.get("/v1/models", summary="The models that answer here", responses=responses(401, 403, 429))
    async def list_models() -> ModelList:
        return ModelList(data=[Model(id=name, created=created) for name in names])

    @router.get("/v1/models/{model_id}", summary="One model", responses=responses(400, 401, 403, 404, 429))
    async def one_model(model_id: str) -> Model:
        if model_id not in names:
            raise not_found("model_not_found", f"no model is called {model_id[:200]!r} here", param="model")
        return Model(id=model_id, created=created)

    return router
