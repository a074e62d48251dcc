"""Why a client may not do what it asks for, in the words of HTTP."""

from typing import Self

from voicectl.service.http.problem import Problem


class Denial(Problem):
    """A request that is refused for who sends it, or how often."""

    @classmethod
    def unauthorised(cls, code: str, message: str) -> Self:
        """Return that it is not known who asks."""
        return cls(401, "authentication_error", code, message)

    @classmethod
    def forbidden(cls, code: str, message: str) -> Self:
        """Return that the one who asks may not."""
        return cls(403, "permission_error", code, message)

    @classmethod
    def too_often(cls, code: str, message: str, retry_after_s: float) -> Self:
        """Return that the one who asks did so too often, or has too much open."""
        return cls(429, "rate_limit_error", code, message, retry_after_s=retry_after_s)
