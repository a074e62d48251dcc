"""How a model writes a function call, and which calls of it are allowed. Knows no prompt and no sequence."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.schema import GrammarRules, literal
from voicectl.engine.messages import WireTool, WireToolCall

MAX_TOOLS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CALL_ID_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """The texts of a call before its name, between name and arguments, and behind the arguments."""

    opener: str
    middle: str
    closer: str

    @property
    def marker(self) -> str:
        """Return what begins a call and is said in no other place; "" where a reply's first `{` does."""
        return self.opener.partition("{")[0].strip()

    def write(self, name: str, arguments: str) -> str:
        """Return a call as the model writes it."""
        return f"{self.opener}{name}{self.middle}{arguments}{self.closer}"

    def read(self, text: str) -> WireToolCall | None:
        """Return the call that `text` is, with a new id; None while it is not complete."""
        if not (text.startswith(self.opener) and text.endswith(self.closer)):
            return None
        name, found, rest = text[len(self.opener) :].partition(self.middle)
        arguments = rest.removesuffix(self.closer).strip()
        if not found or arguments == rest or not _is_json(arguments):
            return None
        return WireToolCall("call_" + secrets.token_hex(_CALL_ID_BYTES), name, arguments)


PLAIN_SYNTAX: Final = CallSyntax('<tool_call>{"name": "', '", "arguments": ', "}</tool_call>")
"""For models whose template knows no functions."""


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """The calls a reply may make: each function with the grammar rule of its arguments."""

    syntax: CallSyntax
    starts: tuple[tuple[str, str], ...]
    """Everything before the arguments of a function, and the rule of these."""
    rules: str

    def text(self, given: str = "", *, or_rule: str | None = None, more_rules: str = "") -> str:
        """Return the grammar of what follows `given`, the beginning of a call; `or_rule` is a reply without one."""
        ways = [
            f"{literal(start[len(given) :])} {rule} {literal(self.syntax.closer)}"
            for start, rule in self.starts
            if start.startswith(given)
        ]
        if or_rule is not None:
            ways.append(or_rule)
        return f"root ::= {' | '.join(ways)}\n{self.rules}\n{more_rules}"

    def certain(self) -> str:
        """Return the text with which every allowed call begins."""
        if len(self.starts) == 1:
            return self.starts[0][0]
        return self.syntax.opener


@lru_cache(maxsize=32)
def call_grammar(tools: Sequence[WireTool], syntax: CallSyntax) -> CallGrammar:
    """Return the grammar of calls of `tools` (a tuple). Raises RequestRejected naming the function at fault."""
    if len(tools) > MAX_TOOLS:
        raise RequestRejected(f"{len(tools)} functions, at most {MAX_TOOLS} can be offered")
    rules = GrammarRules()
    starts: dict[str, tuple[str, str]] = {}
    for index, tool in enumerate(tools):
        if not _NAME.fullmatch(tool.name):
            raise RequestRejected(f"a function is named {tool.name[:80]!r}, allowed are A-Z a-z 0-9 _ . - (up to 64)")
        if tool.name in starts:
            raise RequestRejected(f"two functions are named {tool.name!r}")
        try:
            rule = rules.add_arguments(tool.parameters or "{}", f"call-{index}")
        except RequestRejected as error:
            raise RequestRejected(f"function {tool.name!r}: {error.message}") from error
        starts[tool.name] = (f"{syntax.opener}{tool.name}{syntax.middle}", rule)
    return CallGrammar(syntax, tuple(starts.values()), rules.text())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
