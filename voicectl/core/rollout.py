"""What is asked before a call is taken: may its use case be served, and in which risk tier?"""

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

from voicectl.core.records import Tier

RefusalCode = Literal[
    "use_case_unknown", "use_case_not_promoted", "use_case_demoted", "rollout_unproven", "alerts_overdue"
]
REFUSAL_CODES: Final[tuple[RefusalCode, ...]] = get_args(RefusalCode)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call may be taken, in this tier."""

    tier: Tier


@dataclass(frozen=True, slots=True)
class Refused:
    """A call may not be taken. Its caller belongs to a person, who is told the reason; `code` is for programs."""

    code: RefusalCode
    reason: str


class Rollout(Protocol):
    """Knows how far each use case was promoted."""

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken now. Never waits."""
        ...


def tier_in(rollout: Rollout, use_case: str) -> Tier | None:
    """Return the tier in which a use case is served; None while it gets no traffic."""
    found = rollout.admit(use_case)
    return found.tier if isinstance(found, Admitted) else None
