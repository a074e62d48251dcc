"""The Redactor of an appliance: texts by what is in them, fields by their names, tagged values by their tags."""

from collections.abc import Mapping
from typing import Any, Final

from voicectl.core.tagged import Tagged
from voicectl.governance.redact.call import RedactedCall
from voicectl.governance.redact.policy import Policy

MAX_DEPTH: Final = 12
DROPPED: Final = None


class PolicyRedactor:
    """A Redactor by a Policy. Holds no state between calls; may be used from any thread."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()

    @property
    def policy(self) -> Policy:
        """What is done with what."""
        return self._policy

    def open_call(self) -> RedactedCall:
        """Return what follows one call."""
        return RedactedCall(self._policy)

    def text(self, text: str) -> str:
        """Return a text that stands alone as it may be kept."""
        call = RedactedCall(self._policy)
        shown = call.add("", text, speaker="user")
        settled = call.close()
        return (settled[0] if settled else shown).text

    def field(self, name: str, value: Any) -> Any:
        """Return the value of a field by its policy; without one, its texts are masked."""
        return self._field(name, value, MAX_DEPTH)

    def _field(self, name: str, value: Any, depth: int) -> Any:
        if isinstance(value, Tagged):
            action = self._policy.fields.get(name) or self._policy.tags.get(value.tag, "mask")
            return self._applied(action, value.value, f"[{value.tag}]", depth)
        action = self._policy.fields.get(name)
        if action is None:
            return self._masked(name, value, depth)
        return value if value is None else self._applied(action, value, f"[{name}]", depth)

    def _applied(self, action: str, value: Any, marker: str, depth: int) -> Any:
        match action:
            case "drop":
                return DROPPED
            case "hash":
                return self._policy.hashed(value)
            case "keep":
                # Kept as a field, not as a place for card numbers.
                return self._masked("", value, depth)
            case _:
                return marker

    def _masked(self, name: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            text = str(value)
            redacted = self.text(text)
            return value if redacted == text else redacted
        if depth == 0:
            return "[too deep]"
        if isinstance(value, Mapping):
            return {key: self._field(str(key), each, depth - 1) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._field(name, each, depth - 1) for each in value]
        return self.text(str(value))
