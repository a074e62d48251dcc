"""Turn messages into prompt tokens that fit a context. Knows no sequences and no cache.

The text around messages comes from the model's chat template and may hold control tokens; the
messages themselves never do, so a caller who says or types `<|im_end|>` has said just that.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.events import Role
from voicectl.engine.messages import PromptMessage

Renderer = Callable[[Sequence[tuple[Role, str]]], str]
"""Renders (role, content) pairs with a chat template, up to where the reply begins."""

_CUT_PARTS: Final = 4
"""History is cut in steps of a fourth of the context: a cut every turn would void the cache every turn."""


class Tokenizer(Protocol):
    """What a prompt needs of a vocabulary."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text`; control tokens only with `special`."""
        ...

    def start_token(self) -> int | None:
        """Return the token every prompt must begin with, if any."""
        ...


class PromptBuilder:
    """Builds prompts with one model's template and vocabulary."""

    def __init__(self, render: Renderer, tokenizer: Tokenizer) -> None:
        self._render = render
        self._tokenizer = tokenizer

    def build(self, messages: Sequence[PromptMessage], limit: int) -> list[int]:
        """Return at most `limit` tokens, dropping the oldest messages where they do not fit.

        Raises RequestRejected when there are no messages or the template refuses their roles.
        """
        if not messages:
            raise RequestRejected("a prompt needs at least one message")
        contents = [self._tokenizer.tokenize(message.content, special=False) for message in messages]
        roles = [message.role for message in messages]
        markers = self._markers(roles)
        costs = [len(marker) + len(content) for marker, content in zip(markers[:-1], contents, strict=True)]
        kept = kept_messages(roles, costs, limit - len(markers[-1]))
        if len(kept) < len(messages):
            roles = [roles[index] for index in kept]
            contents = [contents[index] for index in kept]
            markers = self._markers(roles)
        room = limit - sum(len(marker) for marker in markers)
        if room < 0:
            raise RequestRejected(f"the chat template alone takes more than {limit} tokens")
        return _interleave(markers, squeeze(roles, contents, room))

    def prefix(self, system_prompt: str) -> list[int]:
        """Return the tokens with which every conversation under a system prompt begins."""
        markers = self._markers(["system", "user"])
        content = self._tokenizer.tokenize(system_prompt, special=False)
        return [*markers[0], *content, *markers[1]]

    def _markers(self, roles: Sequence[Role]) -> list[list[int]]:
        """Return the tokens before, between and after the contents of messages with these roles."""
        texts = template_markers(self._render, roles)
        markers = [self._tokenizer.tokenize(text, special=True) for text in texts]
        start = self._tokenizer.start_token()
        if start is not None and markers[0][:1] != [start]:
            markers[0].insert(0, start)
        return markers


def template_markers(render: Renderer, roles: Sequence[Role]) -> list[str]:
    """Return the texts that a template puts before, between and after messages with these roles.

    Raises RequestRejected when the template drops, repeats or reorders a message.
    """
    places = [f"[[message {index}]]" for index in range(len(roles))]
    rest = render(list(zip(roles, places, strict=True)))
    markers = []
    for role, place in zip(roles, places, strict=True):
        before, found, rest = rest.partition(place)
        if not found:
            raise RequestRejected(f"the model's chat template has no place for a {role} message among {len(roles)}")
        markers.append(before)
    return [*markers, rest]


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


def _interleave(markers: Sequence[Sequence[int]], contents: Sequence[Sequence[int]]) -> list[int]:
    tokens = list(markers[0])
    for content, marker in zip(contents, markers[1:], strict=True):
        tokens.extend(content)
        tokens.extend(marker)
    if not tokens:
        raise EngineError("the model's chat template renders nothing")
    return tokens
