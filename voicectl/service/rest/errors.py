"""Every failure of a REST request as the OpenAI interface words it."""

from typing import Any, Final, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from voicectl.core.errors import DeadlineExceeded, EngineError, RequestRejected
from voicectl.service.http.problem import Problem, ProblemKind, problem_response

log = structlog.get_logger(__name__)

BUSY_RETRY_S: Final = 1.0
_MEANINGS: Final = {
    400: "The request cannot be meant, or asks for what is not supported.",
    401: "No API key, or none that is known and valid.",
    403: "The API key, or the page's origin, may not do this.",
    404: "There is nothing of that name.",
    408: "The request took too long to arrive.",
    413: "The request is too large.",
    429: "The API key was used too often; see Retry-After.",
    500: "A bug of the gateway.",
    503: "There is no room, or a stage of the engine failed; see Retry-After.",
    504: "A stage of the engine took too long.",
}
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout", 413: "request_too_large"}
_PROBLEM_CODES: Final = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "json_invalid": "invalid_json",
}


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: ProblemKind
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """The body of every answer that is none."""

    error: ErrorBody


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of failures for the OpenAPI document."""
    return {status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in statuses}


REQUEST_FAILURES: Final = responses(400, 401, 403, 408, 413, 429, 500, 503, 504)


def engine_problem(error: EngineError) -> Problem:
    """Return what a client is told when a stage of the engine did not deliver."""
    if isinstance(error, DeadlineExceeded):
        return Problem(504, "server_error", "timeout", error.message)
    code = "overloaded" if isinstance(error, RequestRejected) else "engine_failed"
    retry_after_s = getattr(error, "retry_after_s", None) or BUSY_RETRY_S
    return Problem(503, "server_error", code, error.message, retry_after_s=retry_after_s)


def install_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every failure in this shape."""

    async def on_problem(_: Request, problem: Exception) -> JSONResponse:
        return problem_response(_as(Problem, problem))

    async def on_engine(_: Request, failure: Exception) -> JSONResponse:
        error = _as(EngineError, failure)
        log.warning("request_failed", error=error.message)
        return problem_response(engine_problem(error))

    async def on_invalid(_: Request, failure: Exception) -> JSONResponse:
        return problem_response(_validation_problem(_as(RequestValidationError, failure)))

    async def on_http(_: Request, failure: Exception) -> JSONResponse:
        error = _as(HTTPException, failure)
        code = _CODES.get(error.status_code, "invalid_request")
        answer = problem_response(Problem(error.status_code, "invalid_request_error", code, str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    async def on_bug(_: Request, __: Exception) -> JSONResponse:
        message = "the gateway failed; see its log"
        return problem_response(Problem(500, "server_error", "internal_error", message))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(EngineError, on_engine)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)


E = TypeVar("E", bound=Exception)


def _as(kind: type[E], error: Exception) -> E:
    if not isinstance(error, kind):
        raise error
    return error


def _validation_problem(error: RequestValidationError) -> Problem:
    problem: ErrorDetails = error.errors()[0]
    param = ".".join(str(step) for step in problem["loc"][1:] if not _is_branch(step)) or None
    kind = problem["type"]
    code = _PROBLEM_CODES.get(kind, "invalid_type" if kind.endswith("_type") else "invalid_value")
    if kind == "json_invalid":
        return Problem(400, "invalid_request_error", code, f"the body is no JSON: {problem['msg']}")
    message = problem["msg"].removeprefix("Value error, ")
    named = f"{param}: {message}" if param is not None else message
    return Problem(400, "invalid_request_error", code, named, param=param)


def _is_branch(step: object) -> bool:
    """Return whether a step of a place names the branch of a union, which the client did not write."""
    return isinstance(step, str) and ("[" in step or step != step.lower())
