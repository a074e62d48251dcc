"""What a call shows of consent, dialling, disclosure and understanding: read from attributes and replies. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from voicectl.governance.score.rubric import Rubric
from voicectl.governance.store import cells

ConsentResult = Literal["granted", "missing", "revoked"]

MASKED: Final = "[card number]"
_CARD_DIGITS: Final = range(13, 20)
_ZONE: Final = r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}"
_ZONES: Final = re.compile(rf"{_ZONE}(?:,{_ZONE})*")
_WORD: Final = cells.text(64, pattern=re.compile(r"[A-Za-z0-9_.:/-]+"))


def _id(value: Any) -> str:
    """Read an id. One as long as a card number in digits alone is there, but not kept: it may be one."""
    word = str(_WORD(value))
    digits = re.sub(r"[_.:/-]", "", word)
    return MASKED if digits.isdigit() and len(digits) in _CARD_DIGITS else word


def _address(value: Any) -> str:
    return str(ipaddress.ip_address(str(value).strip()))


STATED: Final[Mapping[str, cells.Reader]] = {
    "direction": cells.choice("inbound", "outbound"),
    "consent_id": _id,
    "consent_at": cells.instant,
    "consent_ip": _address,
    "consent_text_hash": cells.text(64, pattern=re.compile(r"[0-9a-f]{64}")),
    "consent_revoked_at": cells.instant,
    "dnc_checked_at": cells.instant,
    "dnc_list_version": _id,
    "dnc_listed": cells.yes_or_no,
    "time_zones": cells.text(128, pattern=_ZONES),
    "window_verdict": cells.choice("allowed", "blocked", "unknown"),
}
"""Attributes by which whoever dials or connects a call says what it checked, and the columns of the row they become."""
MAX_SEARCHED: Final = 4_000
"""Characters of a reply that are searched for phrases."""


def stated(attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return what the attributes say, by column. What cannot be read is left out: unknown, not held to be well."""
    return cells.readable(attributes, STATED)


def consent_result(facts: Mapping[str, Any], started_at: float) -> ConsentResult:
    """Return what the facts of a call say of consent at its start, seconds since the epoch."""
    if facts.get("consent_id") is None:
        return "missing"
    revoked_at = facts.get("consent_revoked_at")
    return "revoked" if revoked_at is not None and revoked_at <= started_at else "granted"


class Phrases:
    """Looks for what a reply of the agent shows, by the phrases of a rubric."""

    def __init__(self, rubric: Rubric) -> None:
        self._disclosure = rubric.matchers["disclosure"]
        self._denial = rubric.matchers["prohibited:claims_to_be_human"]
        self._misunderstanding = rubric.matchers["misunderstanding"]

    def disclosed_at(self, text: str, began_at: float, ended_at: float) -> float | None:
        """Return when it was said that a machine speaks; None where it was not.

        The reply was heard from `began_at` to `ended_at`; the words are placed by their share of its characters.
        """
        plain = _plain(text)
        found = self._disclosure.search(plain)
        # "I'm not an AI agent" has the words, too.
        if found is None or self._denial.search(plain):
            return None
        return began_at + max(0.0, ended_at - began_at) * found.end() / len(plain)

    def misunderstood(self, text: str) -> bool:
        """Tell whether the agent says that it did not understand."""
        return self._misunderstanding.search(_plain(text)) is not None


def _plain(text: str) -> str:
    return " ".join(text[:MAX_SEARCHED].replace("’", "'").split())
