"""The kinds of events that a call leaves behind, and where in their bodies words are."""

from typing import Final

STARTED: Final = "call_started"
RESUMED: Final = "call_resumed"
PROMPTED: Final = "prompt_set"
CALLER_SAID: Final = "caller_said"
NOT_TRANSCRIBED: Final = "transcript_failed"
REPLIED: Final = "reply_ended"
REVISED: Final = "text_revised"
TOOL_CALLED: Final = "tool_called"
TRANSFER_TOLD: Final = "transfer_told"
ESCALATED: Final = "escalation_requested"
DEGRADED: Final = "service_degraded"
REJECTED: Final = "action_rejected"
EVENTS_LOST: Final = "events_lost"
ENDED: Final = "call_ended"

WORDED: Final = (CALLER_SAID, REPLIED, REVISED)
"""Events with what was said; retention takes it out of them before it takes the events."""
WORDS: Final = "text"
"""The key under which the words are."""
ATTRIBUTES: Final = "attributes"
"""The key, in the first event, of what the client said about its call."""
