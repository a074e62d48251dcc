"""Values that carry what they are about, so that no log line shows them by accident. Knows no policy."""

from dataclasses import dataclass
from typing import Any, Literal

Tag = Literal["phi", "pci", "pii"]


@dataclass(frozen=True, slots=True, repr=False)
class Tagged:
    """A value of a class of data that is protected: health ("phi"), payment ("pci") or person ("pii").

    It prints as its tag. Whoever needs the value says so by reading `value`.
    """

    tag: Tag
    value: Any

    def __repr__(self) -> str:
        return f"[{self.tag}]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)


def phi(value: Any) -> Tagged:
    """Mark a value as health information: `log.info("refill_requested", drug=phi(name))`."""
    return Tagged("phi", value)
