"""Every name that stands in a trace, pinned here: the GenAI semantic conventions of OpenTelemetry, and ours.

The conventions are still moving between repositories and releases; dashboards must not move with them.
Pinned are names of the semantic conventions 1.44 (`gen_ai.*`, `error.type`); what they do not know, such
as hearing and speaking, is `voicectl.*`.

A call is the span `conversation`. Each reply is a `turn` below it (operation `invoke_agent`), and below
that are `endpointing`, `stt`, `chat <model>`, `tts`, `playout` and `execute_tool <function>`.
"""

from typing import Final

# --- spans -----------------------------------------------------------------------------------

CONVERSATION: Final = "conversation"
TURN: Final = "turn"
ENDPOINTING: Final = "endpointing"
STT: Final = "stt"
CHAT: Final = "chat"
TTS: Final = "tts"
PLAYOUT: Final = "playout"
EXECUTE_TOOL: Final = "execute_tool"

# --- attributes of the conventions -----------------------------------------------------------

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_TOKEN_S: Final = "gen_ai.response.time_to_first_chunk"  # noqa: S105 - a name, no secret
OUTPUT_TYPE: Final = "gen_ai.output.type"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_OUTPUT: Final = "gen_ai.tool.call.result"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
ERROR_TYPE: Final = "error.type"

# --- values of the conventions ---------------------------------------------------------------

OPERATION_AGENT: Final = "invoke_agent"
OPERATION_CHAT: Final = "chat"
OPERATION_TOOL: Final = "execute_tool"
TYPE_FUNCTION: Final = "function"
PROVIDER_VALUE: Final = "voicectl"

# --- attributes of ours ----------------------------------------------------------------------

PREFIX: Final = "voicectl."
RESUMED: Final = "voicectl.session.resumed"
END_REASON: Final = "voicectl.session.end"
STATUS: Final = "voicectl.reply.status"
REASON: Final = "voicectl.reply.reason"
INTERRUPTED: Final = "voicectl.reply.interrupted"
EOU_TO_FIRST_AUDIO_S: Final = "voicectl.eou_to_first_audio_seconds"
ANSWER_LATENCY_S: Final = "voicectl.answer_latency_seconds"
LEAD_S: Final = "voicectl.endpointing.lead_seconds"
"""How long before the end of the turn its words were there: what drafting during the pause has won."""
TOOL_BY: Final = "voicectl.tool.by"
