"""The conversation so far, as the language model may see it: only what was said and heard."""

from dataclasses import replace

from voicectl.core.events import Item
from voicectl.core.ports import Message

ROOT = "root"


class UnknownItem(LookupError):
    """No entry has this id."""


class History:
    """Entries in order. Every change keeps ids unique."""

    def __init__(self) -> None:
        self._items: list[Item] = []

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

    def prompt(self, instructions: str) -> tuple[Message, ...]:
        """Return the prompt: instructions, then entries with text, neighbours of one role joined.

        Some chat templates refuse two entries of one role in a row, so they become one.
        """
        messages = [Message("system", instructions)] if instructions else []
        for item in self._items:
            if not item.text:
                continue
            if messages and messages[-1].role == item.role:
                messages[-1] = Message(item.role, f"{messages[-1].content} {item.text}")
            else:
                messages.append(Message(item.role, item.text))
        return tuple(messages)

    def _index(self, item_id: str) -> int:
        for index, item in enumerate(self._items):
            if item.item_id == item_id:
                return index
        raise UnknownItem(item_id)
