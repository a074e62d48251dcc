"""Find the key that a client presents. A query string is no place for one: it ends up in logs."""

from collections.abc import Iterable
from typing import Final

KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."
"""What a browser, which cannot set headers on a WebSocket, offers its key as."""


def presented_key(authorization: str | None, api_key: str | None, subprotocols: Iterable[str]) -> str | None:
    """Return the presented key: `Authorization: Bearer`, then `api-key`, then the subprotocol; None without one."""
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        # Another scheme presents something that is no key of ours: it must fail, not pass as nobody.
        return token.strip() if scheme.lower() == "bearer" else authorization
    if api_key is not None:
        return api_key.strip()
    offered = next((name for name in subprotocols if name.startswith(KEY_SUBPROTOCOL)), None)
    return None if offered is None else offered.removeprefix(KEY_SUBPROTOCOL)
