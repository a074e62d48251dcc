"""A request that cannot be served, in the words of HTTP and of the OpenAI interface."""

import math
from typing import Any, Final, Literal

from starlette.responses import JSONResponse

from voicectl.core.errors import VoicectlError

ProblemKind = Literal[
    "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"
]
LEAST_RETRY_S: Final = 1


class Problem(VoicectlError):
    """Ends one request: `status` for HTTP, `code` for programs, `param` names the offending field."""

    def __init__(
        self,
        status: int,
        kind: ProblemKind,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind: ProblemKind = kind
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def as_json(self) -> dict[str, Any]:
        """Return the body that says it."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def invalid(code: str, message: str, *, param: str | None = None) -> Problem:
    """Return that the client asks for something that cannot be meant, or that is not supported."""
    return Problem(400, "invalid_request_error", code, message, param=param)


def forbidden(code: str, message: str, *, param: str | None = None) -> Problem:
    """Return that this may not be done, whoever asks."""
    return Problem(403, "permission_error", code, message, param=param)


def not_found(code: str, message: str, *, param: str | None = None) -> Problem:
    """Return that there is nothing of that name for this client."""
    return Problem(404, "invalid_request_error", code, message, param=param)


def unavailable(message: str, retry_after_s: float) -> Problem:
    """Return that there is no room at present."""
    return Problem(503, "server_error", "unavailable", message, retry_after_s=retry_after_s)


def problem_response(problem: Problem) -> JSONResponse:
    """Return the answer that says it, with the headers that belong to its status."""
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(LEAST_RETRY_S, math.ceil(problem.retry_after_s)))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.as_json(), status_code=problem.status, headers=headers)
