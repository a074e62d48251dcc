"""The judge's prompt: the rubric as instructions, the call as escaped JSON between marks it cannot forge."""

import json
from collections.abc import Sequence
from typing import Any, Final

from voicectl.core.ports import Message
from voicectl.governance.score.conversation import Conversation, Said
from voicectl.governance.score.rubric import Rubric

PROMPT_VERSION: Final = 1
"""Raised with any change of this module that changes a prompt: it is part of the judge's digest."""
CHARACTERS_A_TOKEN: Final = 2.5
"""Fewer than English or JSON has, so that what was cut to fit really fits: an engine would cut silently."""
MAX_WORDS_OF_A_TURN: Final = 600
"""Characters of one party's words in a turn that the judge is shown."""
OPENING: Final = 2
"""How many of the first texts stay when the middle of a long call is left out."""
BEGIN: Final = "<call>"
END: Final = "</call>"
_ASK: Final = "Grade the call above by the rules. Answer with the JSON object only."


def judge_messages(conversation: Conversation, rubric: Rubric, *, context_tokens: int) -> tuple[Message, ...]:
    """Return the prompt for one call, cut to `context_tokens`: of a long call the middle is left out."""
    instructions = instructions_of(rubric)
    room = int(context_tokens * CHARACTERS_A_TOKEN) - len(instructions) - len(_ASK) - len(BEGIN) - len(END)
    call = fitting(_facts(conversation), list(conversation.said()), max(room, 0))
    return (Message("system", instructions), Message("user", f"{BEGIN}\n{call}\n{END}\n{_ASK}"))


def instructions_of(rubric: Rubric) -> str:
    """Return the instructions; they are the same for every call."""
    flags = "\n".join(f"- {name}: {meaning}" for name, meaning in rubric.judge.flags.items())
    return f"{rubric.judge.instructions.strip()}\nflags: true where it happened, else false:\n{flags}"


def fitting(facts: dict[str, Any], said: Sequence[Said], room: int) -> str:
    """Return a call as JSON of at most `room` characters if its opening and its last text fit at all."""
    entries = [_entry(one) for one in said]
    opening, rest = entries[:OPENING], entries[OPENING:]
    num_left_out = 0
    while True:
        gap = [{"left_out": num_left_out}] if num_left_out else []
        text = escaped({**facts, "transcript": [*opening, *gap, *rest]})
        if len(text) <= room or len(rest) <= 1:
            return text
        # By halves of what is too much: a call of thousands of turns is not serialised thousands of times.
        num_dropped = max(1, min(len(rest) - 1, int(len(rest) * (1 - room / len(text)) / 2)))
        num_left_out += num_dropped
        rest = rest[num_dropped:]


def escaped(document: Any) -> str:
    """Return JSON in which no mark of a prompt can stand: angle brackets are written as escapes."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _facts(conversation: Conversation) -> dict[str, Any]:
    call = conversation.call
    return {
        "use_case": call.use_case,
        "human_took_over": call.transfer_attempted,
        "ended": call.end_reason,
    }


def _entry(said: Said) -> dict[str, str]:
    text = " ".join(said.text.split())
    if len(text) > MAX_WORDS_OF_A_TURN:
        text = text[:MAX_WORDS_OF_A_TURN] + "…"
    return {said.speaker: text}
