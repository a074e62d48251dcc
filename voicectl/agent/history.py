"""The conversation so far, as the language model may see it: only what was said and heard."""

from collections.abc import Iterable
from dataclasses import replace

from voicectl.core.events import Item, ToolCall
from voicectl.core.ports import Message

ROOT = "root"


class UnknownItem(LookupError):
    """No entry has this id."""


class History:
    """Entries in order. Every change keeps ids unique."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items: list[Item] = list(items)

    @property
    def items(self) -> tuple[Item, ...]:
        """All entries, the oldest first."""
        return tuple(self._items)

    def insert(self, item: Item, after: str | None = None) -> str | None:
        """Add an entry behind `after` (None: at the end, "root": first); return its predecessor's id.

        Raises UnknownItem if `after` is not there, ValueError if the id is taken.
        """
        if any(known.item_id == item.item_id for known in self._items):
            raise ValueError(f"item {item.item_id!r} exists already")
        if after is None:
            index = len(self._items)
        elif after == ROOT:
            index = 0
        else:
            index = self._index(after) + 1
        self._items.insert(index, item)
        return self._items[index - 1].item_id if index else None

    def last_id(self) -> str | None:
        """Return the id of the last entry, None if there is none."""
        return self._items[-1].item_id if self._items else None

    def get(self, item_id: str) -> Item:
        """Return an entry. Raises UnknownItem."""
        return self._items[self._index(item_id)]

    def rewrite(self, item_id: str, text: str, *, complete: bool) -> Item:
        """Replace an entry's text and return the new entry. Raises UnknownItem."""
        index = self._index(item_id)
        self._items[index] = replace(self._items[index], text=text, complete=complete)
        return self._items[index]

    def remove(self, item_id: str) -> None:
        """Remove an entry. Raises UnknownItem."""
        del self._items[self._index(item_id)]

    def called(self, call_id: str) -> bool:
        """Tell whether the function call with this id is an entry."""
        return any(item.kind == "function_call" and item.call_id == call_id for item in self._items)

    def returned(self, call_id: str) -> bool:
        """Tell whether the output of a call is an entry."""
        return any(item.kind == "function_call_output" and item.call_id == call_id for item in self._items)

    def prompt(self, instructions: str, *, without: str | None = None) -> tuple[Message, ...]:
        """Return the prompt for what is there, but for the entry `without`, which is being written."""
        return prompt([item for item in self._items if item.item_id != without], instructions)

    def _index(self, item_id: str) -> int:
        for index, item in enumerate(self._items):
            if item.item_id == item_id:
                return index
        raise UnknownItem(item_id)


def prompt(items: Iterable[Item], instructions: str) -> tuple[Message, ...]:
    """Return a prompt: instructions, then entries with text, neighbours of one role joined.

    Chat templates refuse two entries of one role in a row, so they become one; and they want what a
    function returned right behind its call, wherever it came.
    """
    items = list(items)
    outputs = {item.call_id: item for item in items if item.kind == "function_call_output"}
    called = {item.call_id for item in items if item.kind == "function_call"}
    messages = [Message("system", instructions)] if instructions else []
    for index, item in enumerate(items):
        match item.kind:
            case "message":
                if item.text:
                    _add(messages, Message(item.role, item.text))
            case "function_call":
                call = ToolCall(item.call_id or "", item.name or "", item.text)
                _add(messages, Message("assistant", "", (call,)))
                following = items[index + 1] if index + 1 < len(items) else None
                if following is None or following.kind != "function_call":
                    messages += _outputs(messages[-1].tool_calls, outputs)
            case "function_call_output":
                if item.call_id not in called:
                    messages.append(Message("tool", item.text, call_id=item.call_id))
    return tuple(messages)


def _add(messages: list[Message], message: Message) -> None:
    last = messages[-1] if messages else None
    joins = last is not None and last.role == message.role and (not last.tool_calls or bool(message.tool_calls))
    if last is None or not joins:
        messages.append(message)
        return
    content = f"{last.content} {message.content}" if last.content and message.content else last.content
    messages[-1] = replace(last, content=content or message.content, tool_calls=last.tool_calls + message.tool_calls)


def _outputs(calls: Iterable[ToolCall], outputs: dict[str | None, Item]) -> list[Message]:
    known = [outputs[call.call_id] for call in calls if call.call_id in outputs]
    return [Message("tool", item.text, call_id=item.call_id) for item in known]
