"""Turn a request into a reply to be generated, or refuse it. Knows no sequences and runs nothing."""

from typing import Final

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.calls import CallGrammar, call_grammar
from voicectl.engine.llm.generation import Generation, SamplingSettings
from voicectl.engine.llm.prompt import PromptBuilder
from voicectl.engine.llm.reply import Reply
from voicectl.engine.llm.schema import GrammarRules
from voicectl.engine.messages import Generate, WireTool
from voicectl.engine.stage import Job

WORDS: Final = "root ::= [^<{] [^<{}]*"
"""What a model may say of a function's output when it was not taught to: left alone it repeats the output's
wrapping or calls once more (SmolLM2-135M, November 2026)."""


class Intake:
    """Requests for one model, whose sessions hold up to `context_tokens`."""

    def __init__(self, prompts: PromptBuilder, *, context_tokens: int) -> None:
        self._prompts = prompts
        self._context_tokens = context_tokens

    def prefix(self, system_prompt: str) -> list[int]:
        """Return the tokens that all sessions share, at most half a context."""
        return self._prompts.prefix(system_prompt)[: self._context_tokens // 2]

    def generation(self, job: Job, body: Generate) -> Generation:
        """Return the reply to generate. Raises RequestRejected naming what cannot be meant."""
        sampling = SamplingSettings.of(body)
        if body.max_tokens < 1:
            raise RequestRejected(f"max_tokens is {body.max_tokens}, it must be at least 1")
        tools = _offered(body)
        calls = call_grammar(tools, self._prompts.syntax) if tools else None
        call_start = calls.certain() if calls and body.tool_choice == "required" else ""
        must_speak = not call_start and self._answers_output(body)
        if must_speak:
            calls = None
        context = self._context_tokens
        limit = context - min(body.max_tokens, context // 2)
        prompt = self._prompts.build(body.messages, limit, tools=tools, reply_start=call_start)
        grammar = _grammar(body.schema, calls, call_start)
        return Generation(
            job=job,
            session_id=body.session_id,
            sampling=sampling,
            prompt=prompt,
            max_tokens=min(body.max_tokens, context - len(prompt)),
            reply=Reply(self._prompts.syntax if calls else None, call_start=call_start),
            grammar=WORDS if grammar is None and must_speak else grammar,
            calls=calls,
        )

    def _answers_output(self, body: Generate) -> bool:
        """Tell whether the reply is to a function's output that the model only gets in words."""
        return not self._prompts.is_taught_calls and bool(body.messages) and body.messages[-1].role == "tool"


def _offered(body: Generate) -> tuple[WireTool, ...]:
    """Return the functions that the reply may call."""
    if body.tool_choice == "none":
        return ()
    if body.tool_choice == "auto":
        return body.tools
    if body.forced_tool is None:
        offered = body.tools
    else:
        offered = tuple(tool for tool in body.tools if tool.name == body.forced_tool)
    if not offered:
        name = "any function" if body.forced_tool is None else f"function {body.forced_tool!r}"
        raise RequestRejected(f"the reply must call {name}, which is not among those offered")
    return offered


def _grammar(schema: str | None, calls: CallGrammar | None, call_start: str) -> str | None:
    """Return what the whole reply must follow; None where it is free at least until it begins a call."""
    if calls is not None and call_start:
        return calls.text(call_start)
    if schema is None:
        return None
    rules = GrammarRules()
    rule = rules.add_reply(schema, "reply")
    if calls is None:
        return f"root ::= {rule}\n{rules.text()}"
    return calls.text("", or_rule=rule, more_rules=_unlike(rules.text(), calls.rules))


def _unlike(rules: str, present: str) -> str:
    """Return the rules that are not present yet: basic ones, as that of a string, are in every grammar."""
    known = set(present.splitlines())
    return "\n".join(line for line in rules.splitlines() if line not in known)
