"""Turn messages into prompt tokens that fit a context. Knows no sequences and no cache.

The text around messages comes from the model's chat template and may hold control tokens; what is said,
called, answered and offered never does, so a caller who says or types `<|im_end|>` has said just that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.events import Role
from voicectl.engine.llm.calls import PLAIN_SYNTAX, CallSyntax
from voicectl.engine.llm.script import Line, offer, plain_script, script
from voicectl.engine.messages import PromptMessage, WireTool

Renderer = Callable[[Sequence[Line], Sequence[str]], str]
"""Renders lines and offered functions with a chat template, up to where the reply begins."""

_CUT_PARTS: Final = 4
"""History is cut in steps of a fourth of the context: a cut every turn would void the cache every turn."""
_TOOLS: Final = -1
"""The owner of texts that belong to no line: the offered functions."""


class Tokenizer(Protocol):
    """What a prompt needs of a vocabulary."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text`; control tokens only with `special`."""
        ...

    def start_token(self) -> int | None:
        """Return the token every prompt must begin with, if any."""
        ...


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """How a model wants its prompts; `calls` is how it was taught to call functions, None if it was not."""

    render: Renderer
    calls: CallSyntax | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its place in a prompt; `owner` is the index of its line."""

    owner: int
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The texts of a prompt in the template's order, and the template's own before, between and after them."""

    texts: tuple[Text, ...]
    markers: tuple[str, ...]


class PromptBuilder:
    """Builds prompts with one model's template and vocabulary."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self.syntax = template.calls or PLAIN_SYNTAX
        """How the model calls functions under these prompts."""
        self.is_taught_calls = template.calls is not None
        """Whether the model was made to call functions, or only gets them explained."""

    def build(
        self, messages: Sequence[PromptMessage], limit: int, *, tools: Sequence[WireTool] = (), reply_start: str = ""
    ) -> list[int]:
        """Return at most `limit` tokens, dropping the oldest messages where they do not fit.

        `reply_start` is how the reply must begin. Raises RequestRejected when there are no messages, the
        template refuses them, or functions and template alone take too much.
        """
        if not messages:
            raise RequestRejected("a prompt needs at least one message")
        start = self._tokenizer.tokenize(reply_start, special=False)
        return [*self._build(*self._script(messages, tools), limit - len(start)), *start]

    def prefix(self, system_prompt: str) -> list[int]:
        """Return the tokens with which every conversation under a system prompt begins."""
        layout = lay_out(self._template.render, [Line("system", system_prompt), Line("user", "?")], [])
        markers = self._tokens_of(layout.markers)
        return [*markers[0], *self._tokenizer.tokenize(system_prompt, special=False), *markers[1]]

    def _script(self, messages: Sequence[PromptMessage], tools: Sequence[WireTool]) -> tuple[list[Line], list[str]]:
        if self._template.calls is None:
            return plain_script(messages, tools, self.syntax), []
        return script(messages), [offer(tool) for tool in tools]

    def _build(self, lines: list[Line], offers: list[str], limit: int) -> list[int]:
        layout = lay_out(self._template.render, lines, offers)
        contents, markers = self._contents(layout), self._tokens_of(layout.markers)
        fixed = len(markers[-1])
        costs = [0] * len(lines)
        for text, content, marker in zip(layout.texts, contents, markers, strict=False):
            if text.owner == _TOOLS:
                fixed += len(content) + len(marker)
            else:
                costs[text.owner] += len(content) + len(marker)
        fixed_lines = fixed + sum(cost for cost, line in zip(costs, lines, strict=True) if line.is_instruction)
        if fixed_lines > limit:
            raise RequestRejected(f"functions and chat template alone take {fixed_lines} tokens of {limit}")
        roles = [line.cut_as for line in lines]
        kept = kept_messages(roles, costs, limit - fixed)
        if len(kept) < len(lines):
            lines = [lines[index] for index in kept]
            layout = lay_out(self._template.render, lines, offers)
            contents, markers = self._contents(layout), self._tokens_of(layout.markers)
        room = limit - sum(len(marker) for marker in markers)
        if room < 0:
            raise RequestRejected(f"the chat template alone takes more than {limit} tokens")
        owners: list[Role] = ["system" if one.owner == _TOOLS else lines[one.owner].cut_as for one in layout.texts]
        return _interleave(markers, squeeze(owners, contents, room))

    def _contents(self, layout: Layout) -> list[list[int]]:
        return [self._tokenizer.tokenize(one.text, special=False) for one in layout.texts]

    def _tokens_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of a template's own texts."""
        markers = [self._tokenizer.tokenize(text, special=True) for text in texts]
        start = self._tokenizer.start_token()
        if start is not None and markers[0][:1] != [start]:
            markers[0].insert(0, start)
        return markers


def lay_out(render: Renderer, lines: Sequence[Line], offers: Sequence[str]) -> Layout:
    """Return where a template puts the texts of lines and offers.

    It is rendered with places instead of the texts, which it therefore cannot mistake for its own.
    Raises RequestRejected when the template drops or repeats a text.
    """
    places: dict[str, Text] = {}

    def placing(owner: int) -> Callable[[str], str]:
        def place(text: str) -> str:
            name = f"[[text {len(places)}]]"
            places[name] = Text(owner, text)
            return name

        return place

    blank = [line.with_texts(placing(index)) for index, line in enumerate(lines)]
    rest = render(blank, [placing(_TOOLS)(one) for one in offers])
    order = sorted(places, key=rest.find)
    markers: list[str] = []
    for name in order:
        before, found, rest = rest.partition(name)
        if not found or name in rest:
            raise RequestRejected(f"the model's chat template has no place for {_described(places[name], lines)}")
        markers.append(before)
    return Layout(tuple(places[name] for name in order), (*markers, rest))


def kept_messages(roles: Sequence[Role], costs: Sequence[int], limit: int) -> list[int]:
    """Return the indices of the messages to keep so that their costs fit `limit`, as far as possible.

    The oldest go first; system messages and the last message always stay. What is dropped is
    rounded up to a part of the context, so that the cut stays where it is for several turns, and
    the rest does not begin with a reply to a dropped question.
    """
    excess = sum(costs) - limit
    if excess <= 0:
        return list(range(len(roles)))
    step = max(1, limit // _CUT_PARTS)
    to_drop = -(-excess // step) * step
    kept: list[int] = []
    is_cutting = True
    for index, (role, cost) in enumerate(zip(roles, costs, strict=True)):
        is_last = index == len(roles) - 1
        if role == "system" or is_last or not is_cutting:
            kept.append(index)
        elif to_drop <= 0 and role == "user":
            is_cutting = False
            kept.append(index)
        else:
            to_drop -= cost
    return kept


def squeeze(roles: Sequence[Role], contents: Sequence[Sequence[int]], room: int) -> list[list[int]]:
    """Return the contents cut to `room` tokens in all, the longest giving way first.

    System messages keep their beginning, the others their end.
    """
    squeezed = [list(content) for content in contents]
    excess = sum(len(content) for content in squeezed) - room
    while excess > 0:
        index = max(range(len(squeezed)), key=lambda candidate: len(squeezed[candidate]))
        content = squeezed[index]
        length = max(0, len(content) - excess)
        excess -= len(content) - length
        squeezed[index] = content[:length] if roles[index] == "system" else content[len(content) - length :]
    return squeezed


def _described(text: Text, lines: Sequence[Line]) -> str:
    if text.owner == _TOOLS:
        return "functions"
    return f"a {lines[text.owner].role} message among {len(lines)}"


def _interleave(markers: Sequence[Sequence[int]], contents: Sequence[Sequence[int]]) -> list[int]:
    tokens = list(markers[0])
    for content, marker in zip(contents, markers[1:], strict=True):
        tokens.extend(content)
        tokens.extend(marker)
    if not tokens:
        raise EngineError("the model's chat template renders nothing")
    return tokens
