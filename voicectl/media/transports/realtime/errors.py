"""The refusal of one client event, as the wire words it."""

from typing import Final

from voicectl.core.errors import VoicectlError

INVALID_VALUE: Final = "invalid_value"
INVALID_TYPE: Final = "invalid_type"
INVALID_JSON: Final = "invalid_json"
INVALID_FRAME: Final = "invalid_frame"
INVALID_AUDIO: Final = "invalid_audio"
MISSING_PARAMETER: Final = "missing_required_parameter"
UNKNOWN_PARAMETER: Final = "unknown_parameter"
MESSAGE_TOO_LARGE: Final = "message_too_large"
UNSUPPORTED: Final = "unsupported"


class ClientEventError(VoicectlError):
    """A client event cannot be accepted; the session lives on.

    `code` is for programs, `param` names the offending field, `event_id` is the client's own id.
    """

    def __init__(self, code: str, message: str, *, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id = event_id
