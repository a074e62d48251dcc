"""A redactor by script: takes one secret word out, in whole texts, and says so."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from voicectl.core.events import Role
from voicectl.core.ports import RedactedText

SECRET = "4111111111111111"
MASK = "[card]"


class FakeCallRedactor:
    """Masks SECRET. A text that ends with the word "wait" is revised once another text has come."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._found: Counter[str] = Counter()
        self._open: list[str] = []
        self._due: list[RedactedText] = []
        self.closed = False

    def add(self, key: str, text: str, *, speaker: Role) -> RedactedText:
        self._due += [self._settled(earlier) for earlier in self._open]
        self._open = [key] if text.endswith("wait") else []
        self.texts[key] = text
        self._found["card"] += text.count(SECRET)
        return RedactedText(key, text.replace(SECRET, MASK), dict(self._found), settled=not self._open)

    def revised(self) -> tuple[RedactedText, ...]:
        due, self._due = tuple(self._due), []
        return due

    def close(self) -> tuple[RedactedText, ...]:
        self.closed = True
        return tuple(self._settled(key) for key in self._open)

    @property
    def found(self) -> Mapping[str, int]:
        return self._found

    def _settled(self, key: str) -> RedactedText:
        return RedactedText(key, self.texts[key].replace(SECRET, MASK) + " settled", {}, settled=True)


class FakeRedactor:
    """Opens such redactors and remembers them."""

    def __init__(self) -> None:
        self.calls: list[FakeCallRedactor] = []

    def open_call(self) -> FakeCallRedactor:
        self.calls.append(FakeCallRedactor())
        return self.calls[-1]

    def text(self, text: str) -> str:
        return text.replace(SECRET, MASK)

    def field(self, name: str, value: Any) -> Any:
        return None if name == "dropped" else self.text(value)
