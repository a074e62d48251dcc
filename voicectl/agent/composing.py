"""Ask the language model for the text of a reply: which prompt, which functions, how long."""

from dataclasses import dataclass

from voicectl.agent import commands as do
from voicectl.agent.history import prompt
from voicectl.agent.reply import Reply
from voicectl.agent.segmenter import Segmenter
from voicectl.agent.state import State
from voicectl.core import events as ev
from voicectl.core.events import Tool, ToolChoice
from voicectl.core.ports import Message

MAX_ROUNDS = 4
"""How often in one reply functions that the gateway carries out may be called."""

_SHORTEST_REPLY_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Expected:
    """How a prompt will begin, and what of it decides how much of a long conversation it holds."""

    messages: tuple[Message, ...]
    max_tokens: int
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    forced_tool: str | None


def new_reply(state: State, request: ev.ResponseRequested) -> Reply:
    """Return a reply without text and make it the present one."""
    state.reply = Reply(
        response_id=state.new_id("resp"),
        item_id=state.new_id("item"),
        modality=request.output_modality or state.settings.output_modality or "audio",
        segmenter=new_segmenter(state),
        request=request,
    )
    return state.reply


def new_segmenter(state: State) -> Segmenter:
    """Return what cuts the text of a reply."""
    return Segmenter(state.profile.tts.first_clause_words)


def compose(state: State, reply: Reply, *, speculative: bool = False, without: str | None = None) -> None:
    """Have the text written, or written on, to the conversation as it stands, but for the entry `without`."""
    request = reply.request
    tools, choice, forced = offered_tools(state, reply)
    if request.input is None:
        messages = state.history.prompt(_instructions(state, request), without=without or reply.item_id)
    else:
        messages = prompt(request.input, _instructions(state, request))
    state.order(
        do.Compose(
            response_id=reply.response_id,
            messages=messages,
            max_tokens=_max_tokens(state, request, choice),
            speculative=speculative,
            attempt=reply.attempt,
            tools=tools,
            tool_choice=choice,
            forced_tool=forced,
        )
    )


def expected(state: State) -> Expected:
    """Return how the prompt of the caller's next turn will begin."""
    request = ev.ResponseRequested()
    tools, choice, forced = _offered(state, request)
    return Expected(
        messages=state.history.prompt(_instructions(state, request)),
        max_tokens=_max_tokens(state, request, choice),
        tools=tools,
        tool_choice=choice,
        forced_tool=forced,
    )


def _instructions(state: State, request: ev.ResponseRequested) -> str:
    instructions = state.settings.instructions if request.instructions is None else request.instructions
    return "\n\n".join(text for text in (instructions, state.context) if text)


def _max_tokens(state: State, request: ev.ResponseRequested, choice: ToolChoice) -> int:
    wanted = request.max_output_tokens or state.settings.max_output_tokens or state.profile.llm.max_reply_tokens
    if choice == "required":
        # A call cut short is of no use.
        return wanted
    return max(min(wanted, _SHORTEST_REPLY_TOKENS), int(wanted * state.measures.reply_tokens_factor))


Offered = tuple[tuple[Tool, ...], ToolChoice, str | None]
"""The functions that a reply may call, whether it must, and the one that it must call."""


def offered_tools(state: State, reply: Reply) -> Offered:
    """Return what a reply may call, as far as it has come."""
    tools, choice, forced = _offered(state, reply.request)
    if tools and reply.rounds:
        # What had to be called was called.
        return tools, "auto" if reply.rounds < MAX_ROUNDS else "none", None
    return tools, choice, forced


def _offered(state: State, request: ev.ResponseRequested) -> Offered:
    settings = state.settings
    tools = (settings.tools or ()) if request.tools is None else request.tools
    if not request.out_of_band:
        own = {tool.name for tool in state.gateway_tools}
        tools = (*(tool for tool in tools if tool.name not in own), *state.gateway_tools)
    if not tools:
        return (), "auto", None
    if request.tool_choice is not None:
        choice, forced = request.tool_choice, request.forced_tool
    else:
        choice, forced = settings.tool_choice or "auto", settings.forced_tool
    known = forced if choice == "required" and any(tool.name == forced for tool in tools) else None
    return tools, choice, known
