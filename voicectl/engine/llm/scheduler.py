"""Choose what the next step runs. Knows priorities and token budgets, not text, sessions or llama.cpp."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

SHORT_PREFILL_TOKENS: Final = 64
"""Prompt tokens a step may take while replies are being spoken, so that none of them stalls."""
STEPS_A_PRIORITY: Final = 4
"""A request that was passed over this often counts as one priority more urgent, so that none starves."""


@dataclass(frozen=True, slots=True)
class PrefillPart:
    """The next tokens of a prompt to run; `is_last` ones are followed by the first token of the reply."""

    request_id: int
    num_tokens: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """Run one token of each of these requests."""

    request_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PrefillStep:
    """Run parts of prompts."""

    parts: tuple[PrefillPart, ...]

    @property
    def num_tokens(self) -> int:
        """Return how many tokens the step runs."""
        return sum(part.num_tokens for part in self.parts)


Step = DecodeStep | PrefillStep


Rank = tuple[int, float, int]


@dataclass(slots=True)
class _Claim:
    """Who waits for its turn: by priority, then by the nearer deadline, then by age."""

    priority: int
    deadline_at: float
    order: int
    num_passed_over: int = 0

    def rank(self) -> Rank:
        return self.priority - self.num_passed_over // STEPS_A_PRIORITY, self.deadline_at, self.order


@dataclass(slots=True)
class _Prompt:
    claim: _Claim
    num_remaining: int
    is_expected: bool = False


class Scheduler:
    """The running requests: first prompts to prefill, then replies to decode.

    Steps of decoding and of prefilling alternate while there are both, decoding first, so a long
    prompt slows the replies of others but never stops them, and no prompt waits for replies to end.
    Prompts that are only expected run in steps that nobody else wants.
    """

    def __init__(self, *, prefill_tokens: int, short_prefill_tokens: int = SHORT_PREFILL_TOKENS) -> None:
        """`prefill_tokens` bounds a step without live replies, `short_prefill_tokens` one with them."""
        self._prefill_tokens = prefill_tokens
        self._short_prefill_tokens = min(short_prefill_tokens, prefill_tokens)
        self._prompts: dict[int, _Prompt] = {}
        self._decoding: dict[int, None] = {}
        self._num_added = 0
        self._prefill_is_due = False

    def __len__(self) -> int:
        return len(self._prompts) + len(self._decoding)

    def add(
        self,
        request_id: int,
        *,
        priority: int,
        num_tokens: int,
        deadline_at: float = math.inf,
        is_expected: bool = False,
    ) -> None:
        """Take in a request with `num_tokens` (at least one) of its prompt to run."""
        self._num_added += 1
        self._prompts[request_id] = _Prompt(_Claim(priority, deadline_at, self._num_added), num_tokens, is_expected)

    def remove(self, request_id: int) -> None:
        """Drop a request; unknown ones are ignored."""
        self._prompts.pop(request_id, None)
        self._decoding.pop(request_id, None)

    def next_step(self) -> Step | None:
        """Return what to run next; None when there is nothing."""
        wanted = {request_id: prompt for request_id, prompt in self._prompts.items() if not prompt.is_expected}
        if self._decoding and not (self._prefill_is_due and wanted):
            self._prefill_is_due = True
            return DecodeStep(tuple(self._decoding))
        self._prefill_is_due = False
        due = wanted or self._prompts
        return self._next_prefill(due) if due else None

    def prefilled(self, request_id: int, num_tokens: int) -> None:
        """Note that tokens of a prompt have run; after the last one the request decodes."""
        prompt = self._prompts[request_id]
        prompt.num_remaining -= num_tokens
        if prompt.num_remaining <= 0:
            del self._prompts[request_id]
            self._decoding[request_id] = None

    def _next_prefill(self, prompts: Mapping[int, _Prompt]) -> PrefillStep:
        budget = self._short_prefill_tokens if self._decoding else self._prefill_tokens
        parts = []
        for request_id, prompt in sorted(prompts.items(), key=lambda pair: pair[1].claim.rank()):
            num_tokens = min(prompt.num_remaining, budget)
            if num_tokens == 0:
                prompt.claim.num_passed_over += 1
                continue
            parts.append(PrefillPart(request_id, num_tokens, is_last=num_tokens == prompt.num_remaining))
            budget -= num_tokens
        return PrefillStep(tuple(parts))


@dataclass(frozen=True, slots=True)
class _Waiter:
    request_id: int
    session_id: str
    claim: _Claim


class WaitingLine:
    """Requests that have not begun: a session runs one at a time."""

    def __init__(self) -> None:
        self._waiters: dict[int, _Waiter] = {}
        self._num_added = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiters)

    def add(self, request_id: int, session_id: str, priority: int, deadline_at: float = math.inf) -> None:
        """Take in a request."""
        self._num_added += 1
        claim = _Claim(priority, deadline_at, self._num_added)
        self._waiters[request_id] = _Waiter(request_id, session_id, claim)

    def remove(self, request_id: int) -> None:
        """Drop a request; unknown ones are ignored."""
        self._waiters.pop(request_id, None)

    def next_ready(self, busy_sessions: Collection[str]) -> int | None:
        """Return the request to begin next among those whose session is idle.

        Until it can begin, nobody else does: small ones would slip past a large one for ever.
        """
        best = min(self._ready(busy_sessions), key=lambda waiter: waiter.claim.rank(), default=None)
        return best.request_id if best else None

    def begin(self, request_id: int, busy_sessions: Collection[str]) -> None:
        """Take out the request that begins; the others that could have begun were passed over."""
        self.remove(request_id)
        for waiter in self._ready(busy_sessions):
            waiter.claim.num_passed_over += 1

    def _ready(self, busy_sessions: Collection[str]) -> list[_Waiter]:
        return [waiter for waiter in self._waiters.values() if waiter.session_id not in busy_sessions]
